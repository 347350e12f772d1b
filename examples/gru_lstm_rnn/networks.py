"""The three networks in PyTorch, and a step of each in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}
N_HID = {"gru": 64, "lstm": 55, "rnn": 112}  # so that each has about 14,300 numbers to train


class Network(nn.Module):
    """Standardise, one recurrent layer, dropout while training, a linear layer.

    Parameters
    ----------
    cell : str
        ``gru``, ``lstm`` or ``rnn`` (tanh).
    mean, std : numpy.ndarray
        What standardises the channels.
    n_out : int
        Number of classes.
    """

    def __init__(self, cell: str, mean: np.ndarray, std: np.ndarray, n_out: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        self.cell = CELLS[cell](len(mean), N_HID[cell], batch_first=True)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(N_HID[cell], n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n_batch, n_steps, n_out)."""
        return self.head(self.drop(self.cell((x - self.mean) / self.std)[0]))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-x))


def step_gru(w: Mapping[str, np.ndarray], x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the next state, (h,)."""
    a_r, a_z, a_n = np.split(w["weight_ih"] @ x + w["bias_ih"], 3)
    b_r, b_z, b_n = np.split(w["weight_hh"] @ h + w["bias_hh"], 3)
    r, z = sigmoid(a_r + b_r), sigmoid(a_z + b_z)
    n = np.tanh(a_n + r * b_n)
    return (n + z * (h - n),)


def step_lstm(w: Mapping[str, np.ndarray], x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the next state, (h, c)."""
    i, f, g, o = np.split(w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def step_rnn(w: Mapping[str, np.ndarray], x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the next state, (h,)."""
    return (np.tanh(w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]),)


STEPS: dict[str, Callable[..., tuple[np.ndarray, ...]]] = {"gru": step_gru, "lstm": step_lstm, "rnn": step_rnn}
