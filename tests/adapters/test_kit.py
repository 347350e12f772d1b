"""The conformance kit against toys: the right ones pass, and each broken one fails the check that is there for it."""

import re
import subprocess
import sys
import unittest
from pathlib import Path

import broken_life as life
import broken_sinks as sinks
import broken_sources as sources
import pytest
from toys import ToySinkPeer, ToySourcePeer

from streamgru.adapters.testing import (
    ConformanceError,
    SourcePeer,
    check_sink,
    check_source,
    sink_checks,
    source_checks,
)

BROKEN_SOURCES = [
    (life.Undocumented, "class_is_documented", "no docstring"),
    (life.WrongFraming, "class_is_documented", "got 'datagram'"),
    (life.Undescribed, "options_are_described", "without a description: speed"),
    (life.BadSample, "sample_is_toml", "not TOML"),
    (life.OpensInConstructor, "constructing_opens_nothing", r"descriptor \d+ -> pipe"),
    (life.StartsThreadInConstructor, "constructing_opens_nothing", "thread"),
    (life.CannotCloseUnopened, "closes_unopened", "unexpected AttributeError"),
    (life.CannotCloseTwice, "closes_unopened", "unexpected ValueError: closed already"),
    (life.CannotCloseTwice, "closes_twice", "unexpected ValueError: closed already"),
    (life.CloseHangs, "closes_twice", r"close\(\) has not returned after 0.5 s"),
    (life.CloseHangsForGood, "closes_twice", r"close\(\) has not returned after 0.5 s"),
    (life.RefusesWithOSError, "open_without_peer_is_not_connected", "got ConnectionRefusedError"),
    (life.OpensAnyway, "open_without_peer_is_not_connected", "but it returned"),
    (life.GivesUpForEver, "opens_once_the_peer_is_there", "still raises NotConnected: I have tried"),
    (life.CancelledOpenLeaks, "cancelled_open_leaves_nothing", "descriptor"),
    (sources.DeafToClose, "close_wakes_read", r"read\(\), with the source closed, has not returned"),
    (sources.WakesWithCancel, "close_wakes_read", "CancelledError, though nobody cancelled it"),
    (sources.ReadsAfterClose, "read_after_close_ends", r"read\(\) has not returned"),
    (sources.LosesOnCancel, "cancelled_read_loses_nothing", r"\d+ of 150 messages came"),
    (sources.DoublesOnCancel, "cancelled_read_loses_nothing", "message 6: expected b'6:"),
    (sources.SwapsOrder, "order_is_kept", r"message \d: expected b'\d:"),
    (sources.Decodes, "hostile_bytes_arrive_untouched", "message 4"),
    (sources.SkipsEmpty, "hostile_bytes_arrive_untouched", "10 of 11 messages came"),
    (sources.Truncates, "hostile_bytes_arrive_untouched", r"message 9: .*\(1048576 bytes\), got .*\(65536 bytes\)"),
    (sources.LosesSingleBytes, "every_split_arrives", r"message 0: expected b'\{', got b''"),
    (sources.GivesMemoryview, "order_is_kept", "no well-formed Batch"),
    (sources.BlocksLoop, "waiting_leaves_the_loop_free", r"nothing else ran for 0\.[34]"),
    (sources.BlocksLoopForLong, "waiting_leaves_the_loop_free", r"blocked for 0.5 s, in\n(.|\n)*time\.sleep\(0\.8\)"),
    (sources.EndsEarly, "end_comes_after_all_data", r"\d+ of 30 messages came, then EndOfStream"),
    (sources.NeverEnds, "end_comes_after_all_data", r"read\(\) has not returned"),
    (sources.MissesVanishing, "vanished_peer_is_noticed", r"read\(\), with the peer gone, has not returned"),
    (sources.VanishesWithOSError, "vanished_peer_is_noticed", "unexpected ConnectionResetError"),
    (sources.OpensOnce, "opens_again_after_vanishing", "0 of 1 messages came, then NotConnected"),
    (sources.FailsOnStaleAck, "ack_takes_every_outcome", "unexpected KeyError"),
    (sources.BlocksInAck, "ack_takes_every_outcome", r"Outcome.DROPPED.*has not returned"),
    (sources.RepliesToAnybody, "replies_reach_their_origin", "message 1: expected b'1:"),
    (sources.RepliesLoudly, "replies_reach_their_origin", "unexpected KeyError: 'nobody of this name'"),
    (sources.Hoards, "flood_is_bounded", r"sent and none read, 2\.\d MiB are held; 0\.6 are allowed"),
    (sources.LeaksThread, "closes_unopened", "thread 'left'"),
    (sources.LeaksThread, "close_gives_everything_back", "thread 'left'"),
    (sources.LeaksDescriptor, "close_gives_everything_back", r"descriptor \d+ -> /dev/null"),
    (sources.LeaksTask, "close_gives_everything_back", "task <coroutine object sleep"),
    (sources.LeaksOnReopen, "close_gives_everything_back", r"descriptor \d+ -> /dev/null"),
]


BROKEN_SINKS = [
    (sinks.SinkOpensInConstructor, "constructing_opens_nothing", "task <coroutine object sleep"),
    (sinks.SinkCloseHangs, "closes_twice", r"close\(\) has not returned after 0.5 s"),
    (sinks.Reverses, "writes_arrive_once_in_order", "message 0: expected b'0:"),
    (sinks.SendsTwice, "writes_arrive_once_in_order", "at the peer: message 3: expected b'3:"),
    (sinks.ForgetsToFlush, "writes_arrive_once_in_order", "at the peer: expected 120 messages, got"),
    (sinks.LosesOnClose, "flushed_survives_close", "at the peer: expected 12 messages, got 0"),
    (sinks.FailsOnEmpty, "flush_without_writes", "unexpected IndexError"),
    (sinks.WritesText, "hostile_bytes_are_delivered", "message 4"),
    (sinks.DoesNotMind, "vanished_peer_is_noticed", r"have worked for 0.5 s"),
    (sinks.SinkFailsWithOSError, "vanished_peer_is_noticed", "unexpected BrokenPipeError"),
    (sinks.SinkOpensOnce, "opens_again_after_vanishing", "unexpected NotConnected"),
    (sinks.SinkHoards, "stalled_peer_costs_no_memory", r"written and none taken, \d\.\d MiB are held"),
    (sinks.SinkLeaksThread, "close_gives_everything_back", "thread 'left'"),
]


@pytest.mark.parametrize("check", source_checks(ToySourcePeer))
def test_right_source_passes(check):
    check(ToySourcePeer)


@pytest.mark.parametrize("check", sink_checks(ToySinkPeer))
def test_right_sink_passes(check):
    check(ToySinkPeer)


def named(value):
    return getattr(value, "__name__", "")


def broken(peer_type, **adapter):
    """Make a class of peers of a broken adapter; it waits less long, for what never comes."""
    return type("BrokenPeer", (peer_type,), {**adapter, "patience": 0.5})


def fails(checks, name, new_peer, message):
    """Run the check *name* and see that it fails, for the reason it should."""
    (check,) = [check for check in checks if check.__name__ == name]
    with pytest.raises(ConformanceError, match=message) as caught:
        check(new_peer)
    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    assert text.endswith(check.__doc__)


@pytest.mark.parametrize(("source", "name", "message"), BROKEN_SOURCES, ids=named)
def test_broken_source_is_caught(source, name, message):
    if "descriptor" in message and not Path("/proc/self/fd").exists():
        pytest.skip("looks in /proc")
    peer = broken(ToySourcePeer, source=source)
    fails(source_checks(), name, peer, message)


@pytest.mark.parametrize(("sink", "name", "message"), BROKEN_SINKS, ids=named)
def test_broken_sink_is_caught(sink, name, message):
    peer = broken(ToySinkPeer, sink=sink)
    fails(sink_checks(), name, peer, message)


class BarePeer(ToySourcePeer):
    """Has no optional part."""

    end = SourcePeer.end
    vanish = SourcePeer.vanish
    received = SourcePeer.received

    async def stop(self):
        pass


def test_checks_without_their_part_are_left_out_and_named():
    left_out = {check.__name__ for check in source_checks()} - {check.__name__ for check in source_checks(BarePeer)}
    expected = {
        "end_comes_after_all_data",
        "vanished_peer_is_noticed",
        "opens_again_after_vanishing",
        "replies_reach_their_origin",
    }
    assert left_out == expected
    for check in source_checks():
        if check.__name__ in expected:
            with pytest.raises(unittest.SkipTest, match=r"BarePeer has no (end|vanish|received)"):
                check(BarePeer)


def test_check_source_runs_everything_and_names_what_it_left_out():
    assert "vanished_peer_is_noticed" in check_source(BarePeer)
    assert check_sink(ToySinkPeer) == []


def test_check_source_reports_all_failures_at_once():
    peer = broken(ToySourcePeer, source=sources.Decodes)
    with pytest.raises(
        ConformanceError,
        match=r"^2 of 23 checks failed:\n\nhostile(.|\n)*\n\nevery_split_arrives: ",
    ):
        check_source(peer)


def test_every_check_has_a_name_of_its_own_and_a_reason():
    for checks in (source_checks(), sink_checks()):
        names = [check.__name__ for check in checks]
        assert len(set(names)) == len(names)
        for check in checks:
            assert re.fullmatch(r"[A-Z][^\n]+\.", check.__doc__), check


def test_every_check_has_a_toy_that_fails_it():
    sources = {name for _, name, _ in BROKEN_SOURCES}
    sinks = {name for _, name, _ in BROKEN_SINKS}
    assert {check.__name__ for check in source_checks()} - sources == set()
    assert {check.__name__ for check in sink_checks()} - sinks - sources == set()


def test_a_failing_peer_is_named():
    class Sick(ToySourcePeer):
        async def send(self, data):
            raise ValueError("no ink")

    (check,) = [check for check in source_checks() if check.__name__ == "order_is_kept"]
    with pytest.raises(ConformanceError, match="0 of 100 messages came") as caught:
        check(Sick)
    causes = []
    error = caught.value
    while error is not None:
        causes.append(repr(error))
        error = error.__cause__
    assert causes[-1] == "ValueError('no ink')"


def test_kit_needs_no_pytest():
    code = "import sys; sys.modules['pytest'] = None; import streamgru.adapters.testing"
    subprocess.run([sys.executable, "-c", code], check=True)
