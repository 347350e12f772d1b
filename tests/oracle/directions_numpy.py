"""The float64 reference of GRUs that read from the end, and of windows over time. Imports nothing of streamgru."""

import numpy as np

from tests.oracle.gru_numpy import gru


def reverse_gru(x, **options):
    """One layer that reads x (n_steps, n_in) from its end: at each step what it knows there."""
    return gru(x[::-1], **options)[::-1]


def bidirectional(x, forward, backward):
    """Both directions side by side, (n_steps, 2 * n_hid); each comes as the arguments of :func:`gru`."""
    return np.concatenate([gru(x, **forward), reverse_gru(x, **backward)], axis=1)


def frames(x, size, stride=1, dilation=1, before=0, after=0, padding=0.0):
    """What a window sees, (n_steps_out, size, n_in): one loop over where it begins."""
    x = np.asarray(x, np.float64)
    edge = np.full((1, x.shape[1]), padding)
    padded = np.concatenate([*[edge] * before, x, *[edge] * after])
    reach = (size - 1) * dilation + 1
    starts = range(0, len(padded) - reach + 1, stride)
    return np.array([padded[start : start + reach : dilation] for start in starts]).reshape(-1, size, x.shape[1])
