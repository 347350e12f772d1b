"""The float64 reference of what looks at several rows of a whole sequence, in NumPy. Imports nothing of streamgru.

Everything takes x (n_steps, n_in) and gives a row for each window that fits into the sequence between its padding.
"""

import numpy as np

from tests.oracle.gru_numpy import FUNCTIONS


def windows(x, size, stride=1, dilation=1, before=0, after=0, padding=0.0):
    """(n_windows, size, n_in): rows of the padded sequence, *dilation* apart, from every *stride*-th row on."""
    x = np.asarray(x, np.float64)
    padded = np.concatenate([np.full((before, x.shape[1]), padding), x, np.full((after, x.shape[1]), padding)])
    found, start = [], 0
    while start + (size - 1) * dilation < len(padded):
        found.append([padded[start + j * dilation] for j in range(size)])
        start += stride
    return np.array(found, np.float64).reshape(-1, size, x.shape[1])


def conv1d(x, weight, bias=0.0, function="linear", size=1, **where):
    """``function(sum_j W_j x_j + b)``; weight (n_out, size*n_in), the columns of the oldest row first."""
    rows = windows(x, size, **where)
    weight = np.asarray(weight, np.float64).reshape(len(weight), size, -1)
    return FUNCTIONS[function](np.einsum("ojc,tjc->to", weight, rows) + np.asarray(bias, np.float64))


def average(x, size, padding="left_out", **where):
    """The mean of each window, over all of it or over what is no padding."""
    total = windows(x, size, **where).sum(1)
    real = windows(np.ones((len(x), 1)), size, **where).sum(1)
    return total / (size if padding == "counted" else real)


def largest(x, size, **where):
    """The largest of each window."""
    return windows(x, size, padding=-np.inf, **where).max(1)
