"""Where the states of a pool lie, and who they belong to.

A handle names a slot and how often the slot was taken, so that the handle of a closed stream is known
for what it is, also after its slot has gone to another one. Every pool begins to count somewhere else, so
that its handles are not those of another one, but for a chance of one in 2**30.
"""

from typing import Self

from streamgru.model.plan import Plan

class Slots:
    """Room for the states of *capacity* streams; memory is taken as they come."""
    def __new__(cls, plan: Plan, capacity: int) -> Self: ...
    @property
    def capacity(self) -> int: ...
    @property
    def n_used(self) -> int: ...
