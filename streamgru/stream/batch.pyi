"""One tick: a batch of rows through the streams of a pool.

A batch may hold several rows of one stream, which must be taken in order. So it is cut into rounds: the
first row of every stream, the second of those that have one, and so on. Within a round no stream appears
twice; it goes through the network many lanes at a time, on as many threads as there are.
"""

from typing import Self

from streamgru.model.plan import Plan

class Crew:
    """What steps the batches of a pool: scratch for its lanes, and its threads, which sleep between batches."""
    def __new__(cls, plan: Plan, n_threads: int) -> Self: ...
    @property
    def n_threads(self) -> int: ...
