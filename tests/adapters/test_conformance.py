"""Our own adapters against the kit that everybody's must pass."""

import file_peers
import pytest
import stream_peers

from streamgru.adapters.testing import sink_checks, source_checks

SOURCES = [
    file_peers.StdinPeer,
    file_peers.FileSourcePeer,
    file_peers.FifoPeer,
    stream_peers.TcpSourcePeer,
    stream_peers.TcpOnceSourcePeer,
    stream_peers.UnixSourcePeer,
    stream_peers.TcpListenPeer,
    stream_peers.UnixListenPeer,
    stream_peers.UdpListenPeer,
]
SINKS = [file_peers.StdoutPeer, file_peers.FileSinkPeer, stream_peers.TcpSinkPeer, stream_peers.UnixSinkPeer]


def pairs(peers, checks):
    """Each peer with each check that it allows."""
    return [
        pytest.param(peer, check, id=f"{peer.__name__}-{check.__name__}") for peer in peers for check in checks(peer)
    ]


@pytest.mark.parametrize(("peer", "check"), pairs(SOURCES, source_checks))
def test_source(peer, check):
    check(peer)


@pytest.mark.parametrize(("peer", "check"), pairs(SINKS, sink_checks))
def test_sink(peer, check):
    check(peer)
