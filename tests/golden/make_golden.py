"""Make the golden files: networks of random weights, their input, and what PyTorch answers.

Run by hand, where torch is installed; the files are kept. See PROVENANCE.md.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

SEED = 20261123
N_STEPS = 30
FOLDER = Path(__file__).parent


class Network(nn.Module):
    def __init__(self, n_in, n_hid, n_layers, n_out, bias=True):
        super().__init__()
        self.rnn = nn.GRU(n_in, n_hid, n_layers, bias=bias, batch_first=True)
        if n_out:
            self.head = nn.Linear(n_hid, n_out)

    def forward(self, x):
        h, _ = self.rnn(x)
        return self.head(h) if hasattr(self, "head") else h


class Cell(nn.Module):
    def __init__(self, n_in, n_hid):
        super().__init__()
        self.cell = nn.GRUCell(n_in, n_hid)

    def forward(self, x):
        h, states = None, []
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            states.append(h)
        return torch.stack(states, 1)


NETWORKS = {
    "gru_1_1": lambda: Network(1, 1, 1, 0),
    "gru_7_32": lambda: Network(7, 32, 1, 0),
    "gru_3_16_head_5": lambda: Network(3, 16, 1, 5),
    "gru_7_20_20_head_3": lambda: Network(7, 20, 2, 3),
    "gru_1_7_7_7_head_1": lambda: Network(1, 7, 3, 1),
    "gru_5_33_nobias_head_2": lambda: Network(5, 33, 1, 2, bias=False),
    "cell_4_9": lambda: Cell(4, 9),
}


def main():
    torch.set_num_threads(1)
    for index, (name, make) in enumerate(NETWORKS.items()):
        torch.manual_seed(SEED + index)
        module = make().eval()
        n_in = next(module.parameters()).shape[1]
        x = torch.randn(1, N_STEPS, n_in)
        with torch.no_grad():
            single = module(x)[0].numpy()
            save_file(module.state_dict(), FOLDER / f"{name}.safetensors")
            double = module.double()(x.double())[0].numpy()
        np.savez(FOLDER / f"{name}.npz", x=x[0].numpy(), y_float32=single, y_float64=double)
        print(f"{name}: {np.abs(single - double).max():.2g} between float32 and float64")


if __name__ == "__main__":
    main()
