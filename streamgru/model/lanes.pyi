"""Scratch for several streams, or several timesteps, at once."""

from typing import Self

from streamgru.model.plan import Plan

class Lanes:
    """So much scratch that a plan can take up to *most* of them together, and not so much that it leaves the cache.

    Parameters
    ----------
    plan : Plan
    most : int
        Lanes that there are work for.
    n_bytes : int
        What they may take, unless *least* need more.
    least : int
        Below so many, going together gains nothing.
    """
    def __new__(cls, plan: Plan, most: int, n_bytes: int = 98304, least: int = 8) -> Self: ...
    @property
    def n(self) -> int: ...
