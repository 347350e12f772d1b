"""Draw training windows, each changed a little, as if another person had worn the watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from recordings import Recording

# The other arm is the mirror image: x points the other way. An acceleration is a plain vector,
# an angular rate turns round the opposite way about the two axes that stay.
MIRROR = np.array([-1, 1, 1, 1, -1, -1], np.float32)


@dataclass(frozen=True)
class Augment:
    """How strongly to change each window.

    Attributes
    ----------
    roll : float
        Standard deviation of the watch's turn about the forearm, in degrees.
    tilt : float
        Standard deviation of its turn about each of the other two axes, in degrees.
    speed : float
        Standard deviation of the logarithm of the speed.
    gain : float
        Standard deviation of the logarithm of the strength of each sensor.
    noise : float
        Standard deviation of white noise, as a share of each channel's own.
    """

    roll: float = 15.0
    tilt: float = 8.0
    speed: float = 0.3
    gain: float = 0.15
    noise: float = 0.2


def rotation(rng: np.random.Generator, roll: float, tilt: float) -> np.ndarray:
    """Return a random rotation matrix, (3, 3), from three random turns about x, y and z."""
    turn = np.eye(3)
    for axis, spread in enumerate((roll, tilt, tilt)):
        angle = np.deg2rad(rng.normal(0.0, spread))
        i, j = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[j, i] = np.sin(angle)
        step[i, j] = -step[j, i]
        turn = step @ turn
    return turn


def draw_window(x: np.ndarray, n_steps: int, how: Augment, std: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut a window at a random place and change it.

    Parameters
    ----------
    x : numpy.ndarray
        A whole recording, (n, 6).
    n_steps : int
        Length of the window; a recording too short for it is stretched.
    how : Augment
        Strength of the changes.
    std : numpy.ndarray
        Standard deviation of each channel, (6,).
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    numpy.ndarray
        The window, (n_steps, 6), float32.
    """
    speed = min(np.exp(rng.normal(0.0, how.speed)), (len(x) - 2) / n_steps)
    at = rng.uniform(0.0, len(x) - 1 - speed * n_steps) + speed * np.arange(n_steps)
    low = at.astype(np.int64)
    part = (at - low)[:, None]
    window = x[low] * (1.0 - part) + x[low + 1] * part
    window[:, 3:] *= speed
    turn = rotation(rng, how.roll, how.tilt)
    gain_a, gain_w = np.exp(rng.normal(0.0, how.gain, 2))
    window = np.hstack([window[:, :3] @ (gain_a * turn.T), window[:, 3:] @ (gain_w * turn.T)])
    if rng.random() < 0.5:
        window *= MIRROR
    window += rng.normal(0.0, how.noise, window.shape) * std
    return window.astype(np.float32)


def draw_batch(
    people: Sequence[Recording],
    n_batch: int,
    n_steps: int,
    how: Augment,
    std: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return windows (n_batch, n_steps, 6) and their labels (n_batch,)."""
    picks = [people[i] for i in rng.integers(len(people), size=n_batch)]
    x = np.stack([draw_window(r.x, n_steps, how, std, rng) for r in picks])
    return x, np.array([r.label for r in picks])
