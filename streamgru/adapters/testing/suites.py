"""The checks as lists, and all at once."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Sequence
from typing import Any

from streamgru.adapters.testing.harness import Check, ConformanceError, PeerT
from streamgru.adapters.testing.life import LIFE
from streamgru.adapters.testing.peers import Peer, SinkPeer, SourcePeer
from streamgru.adapters.testing.sinks import SINKS
from streamgru.adapters.testing.sources import SOURCES


def source_checks(peer_type: type[SourcePeer] | None = None) -> list[Check[SourcePeer]]:
    """List the checks of a source.

    Parameters
    ----------
    peer_type : type of SourcePeer, optional
        Leave out the checks for which such a peer lacks an optional part. Without it all are listed,
        and one that makes no sense raises ``unittest.SkipTest`` (which pytest shows as skipped).
    """
    return _fitting([*LIFE, *SOURCES], peer_type)


def sink_checks(peer_type: type[SinkPeer] | None = None) -> list[Check[SinkPeer]]:
    """List the checks of a sink; *peer_type* as in :func:`source_checks`."""
    return _fitting([*LIFE, *SINKS], peer_type)


def check_source(new_peer: Callable[[], SourcePeer]) -> list[str]:
    """Run all checks of a source that its peer allows.

    Parameters
    ----------
    new_peer : callable
        Gives a new peer at each call.

    Returns
    -------
    list of str
        Names of the checks that were left out.

    Raises
    ------
    ConformanceError
        With all failures, one after the other.
    """
    return _run_all(source_checks(), new_peer)


def check_sink(new_peer: Callable[[], SinkPeer]) -> list[str]:
    """Run all checks of a sink that its peer allows; otherwise as :func:`check_source`."""
    return _run_all(sink_checks(), new_peer)


def _fitting(checks: list[Check[Any]], peer_type: type[Peer] | None) -> list[Check[Any]]:
    return [check for check in checks if peer_type is None or not check.missing(peer_type)]


def _run_all(checks: Sequence[Check[PeerT]], new_peer: Callable[[], PeerT]) -> list[str]:
    failures, left_out = [], []
    for check in checks:
        try:
            check(new_peer)
        except unittest.SkipTest:
            left_out.append(check.__name__)
        except ConformanceError as error:
            failures.append(str(error))
    if failures:
        raise ConformanceError(f"{len(failures)} of {len(checks)} checks failed:\n\n" + "\n\n".join(failures))
    return left_out
