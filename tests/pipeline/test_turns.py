"""A source that is always ready leaves the event loop to others now and then."""

import asyncio
import os
import signal
import threading
import time

import numpy as np
import pytest

from streamgru import Pipeline
from streamgru.adapters.contract import Batch, Token
from streamgru.cli import Signalled
from streamgru.cli.run import until_signalled
from streamgru.errors import EndOfStream
from tests import support
from tests.pipeline.lists import ListSink, ListSource, awaited


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return support.write_model(tmp_path_factory.mktemp("model") / "m.safetensors")


class AlwaysReady(ListSource):
    """Has a batch at once whenever it is asked, for three seconds."""

    async def open(self):
        self.until = time.monotonic() + 3

    async def read(self):
        if time.monotonic() > self.until:
            raise EndOfStream("that is long enough")
        return Batch("o", b"[1,2,3]\n", Token("o"))

    async def ack(self, token, outcome):
        pass


def test_a_source_that_is_always_ready_keeps_nobody_waiting(model):
    """What else runs in the loop, such as another client or a signal, has its turn."""

    async def main():
        task = asyncio.create_task(awaited(Pipeline(model, AlwaysReady([]), ListSink())))
        started = time.monotonic()
        moments = [started]
        for _ in range(10):
            await asyncio.sleep(0.02)
            moments.append(time.monotonic())
        assert not task.done() and np.diff(moments).max() < 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - started < 2

    asyncio.run(main())


def test_a_signal_ends_a_run_whose_source_is_always_ready(model):
    sent = []

    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Timer(0.3, send)
    timer.start()
    with pytest.raises(Signalled):
        asyncio.run(until_signalled(Pipeline(model, AlwaysReady([]), ListSink())))
    assert time.monotonic() - sent[0] < 1
    timer.join()
