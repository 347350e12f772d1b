"""The conformance kit: what every source and sink must pass, ours or anybody's.

An author writes the other end of the line, a *peer*, and runs all checks against it::

    from streamgru.adapters.testing import SourcePeer, source_checks

    class SerialPeer(SourcePeer):
        def make(self): return SerialSource(self.path, SerialOptions())
        async def start(self): ...
        async def send(self, data): ...
        async def stop(self): ...

    @pytest.mark.parametrize("check", source_checks(SerialPeer))
    def test_contract(check):
        check(SerialPeer)

A check is called with something that gives a new peer, the class or a ``functools.partial`` of it. It
raises :class:`ConformanceError`, which names the check, what was seen, and why it matters. Nothing
here needs pytest; without it, :func:`check_source` and :func:`check_sink` run everything at once.
"""

from streamgru.adapters.testing.harness import Check, ConformanceError
from streamgru.adapters.testing.peers import Peer, SinkPeer, SourcePeer, free_port
from streamgru.adapters.testing.suites import check_sink, check_source, sink_checks, source_checks

__all__ = [
    "Check",
    "ConformanceError",
    "Peer",
    "SinkPeer",
    "SourcePeer",
    "check_sink",
    "check_source",
    "free_port",
    "sink_checks",
    "source_checks",
]
