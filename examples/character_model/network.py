"""The network in PyTorch, and as the spec and tensors of streamgru."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from streamgru.model import spec as s
from streamgru.stream.shrink import shrink

START = "\n"  # what the network is given before the first letter


class CharacterNet(nn.Module):
    """A letter in, how likely each letter is to be the next one out.

    Parameters
    ----------
    n_letters, n_embedding, n_hid : int
        Number of letters, size of the row that stands for a letter, units of the GRU.
    """

    def __init__(self, n_letters: int, n_embedding: int, n_hid: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_letters, n_embedding)
        self.gru = nn.GRU(n_embedding, n_hid, batch_first=True)
        self.head = nn.Linear(n_hid, n_letters)

    def forward(self, x: torch.Tensor, h: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n_batch, n_steps, n_letters), and the state to go on from."""
        y, h = self.gru(self.embedding(x), h)
        return self.head(y), h


def native(net: CharacterNet, letters: tuple[str, ...], origin: str) -> tuple[s.Spec, dict[str, np.ndarray]]:
    """Return the network as streamgru's spec and tensors, the matrices in float16."""
    program = s.Program(
        inputs=(s.Input(name="letter", kind="token", vocab=len(letters), labels=letters),),
        layers=(
            s.Embedding(name="embedding", n_out=net.embedding.embedding_dim),
            s.Gru(name="gru", n_hid=net.gru.hidden_size),
            s.Dense(name="head", n_out=len(letters)),
        ),
        feedback=s.Feedback(input="letter", choose="sample", start=letters.index(START), limit=600),
    )
    spec = s.Spec(programs={"main": program}, title="Writes like Shakespeare, letter by letter", origin=origin)
    state = {name.removesuffix("_l0"): tensor.detach().numpy() for name, tensor in net.state_dict().items()}
    return spec, shrink(spec, state, "f16")


@torch.no_grad()
def round_to_half(net: CharacterNet) -> None:
    """Round all matrices to float16, as those of the native file are."""
    for tensor in net.parameters():
        if tensor.ndim == 2:
            tensor.copy_(tensor.half().float())
