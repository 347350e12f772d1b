"""The network: standardise, one linear layer, a GRU, and a linear head at every timestep."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Scale(nn.Module):
    """Multiply and shift each channel by fixed numbers.

    Parameters
    ----------
    mean, std : torch.Tensor
        Statistics of the training recordings, (n_in,) each.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", 1.0 / std)
        self.register_buffer("bias", -mean / std)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + self.bias


class ExerciseNet(nn.Module):
    """Classify every timestep of a stream, looking only at the past.

    Parameters
    ----------
    mean, std : torch.Tensor
        Statistics of the training recordings, (n_in,) each.
    n_dense, n_hid, n_layers : int
        Width of the linear layer (0 leaves it out), width and depth of the GRU.
    n_out : int
        Number of classes.
    dropout : float
        Share of GRU outputs silenced while training.
    """

    def __init__(
        self,
        mean: Tensor,
        std: Tensor,
        n_dense: int,
        n_hid: int,
        n_layers: int,
        n_out: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        n_in = mean.numel()
        self.scale = Scale(mean, std)
        self.dense = nn.Linear(n_in, n_dense) if n_dense else None
        self.gru = nn.GRU(
            n_dense or n_in,
            n_hid,
            n_layers,
            batch_first=True,
            dropout=dropout if n_layers > 1 else 0.0,
        )
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(n_hid, n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits.

        Parameters
        ----------
        x : torch.Tensor
            Raw sensor readings, (n_batch, n_steps, n_in).

        Returns
        -------
        torch.Tensor
            Unnormalised log-probabilities, (n_batch, n_steps, n_out).
        """
        x = self.scale(x)
        if self.dense is not None:
            x = torch.relu(self.dense(x))
        return self.head(self.drop(self.gru(x)[0]))
