"""The bridges between threads and the event loop: policies, waking, cancelling, and nothing left behind."""

import asyncio
import random
import threading
import time

import pytest

from streamgru.adapters.queues import Inbox, OneThread, Pump
from streamgru.errors import EndOfStream, NotConnected


def run(scenario):
    """Run in bounded time, and see that no thread stays."""
    before = set(threading.enumerate())
    asyncio.run(asyncio.wait_for(scenario(), 10))
    deadline = time.monotonic() + 2
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.005)
    assert set(threading.enumerate()) <= before


async def drain(inbox):
    got = []
    try:
        while True:
            got.append(await asyncio.wait_for(inbox.get(), 0.05))
    except TimeoutError:
        return got


@pytest.mark.parametrize(
    ("overflow", "kept", "taken", "dropped"),
    [
        ("drop_oldest", [2, 3, 4], [True] * 5, 2),
        ("drop_newest", [0, 1, 2], [True] * 3 + [False] * 2, 2),
        ("latest", [4], [True] * 5, 4),
    ],
)
def test_policies(overflow, kept, taken, dropped):
    async def scenario():
        inbox = Inbox(3, overflow)
        inbox.bind()
        assert [inbox.put(i) for i in range(5)] == taken
        assert inbox.dropped == dropped
        assert await drain(inbox) == kept

    run(scenario)


def test_block_holds_up_the_thread_that_puts_and_loses_nothing():
    async def scenario():
        inbox = Inbox(3)
        inbox.bind()
        n_put = 0

        def put_all():
            nonlocal n_put
            for i in range(50):
                assert inbox.put(i)
                n_put += 1

        thread = threading.Thread(target=put_all, daemon=True)
        thread.start()
        await asyncio.sleep(0.05)
        assert n_put == 3
        assert await inbox.get() == 0
        await asyncio.sleep(0.05)
        assert n_put == 4
        assert [await inbox.get() for _ in range(49)] == list(range(1, 50))
        assert inbox.dropped == 0
        thread.join()

    run(scenario)


@pytest.mark.parametrize("end", ["close", "fail", "bind"])
def test_blocked_put_is_woken(end):
    async def scenario():
        inbox = Inbox(1)
        inbox.bind()
        inbox.put("first")
        results = []
        thread = threading.Thread(target=lambda: results.append(inbox.put("second")), daemon=True)
        thread.start()
        await asyncio.sleep(0.03)
        assert results == []
        if end == "close":
            inbox.close()
        elif end == "fail":
            inbox.fail(NotConnected("away"))
        else:
            inbox.bind()
        thread.join(2)
        assert results == [end == "bind"]

    run(scenario)


def test_many_threads_lose_and_double_nothing():
    async def scenario():
        inbox = Inbox(8)
        inbox.bind()
        threads = [
            threading.Thread(target=lambda n=n: [inbox.put((n, i)) for i in range(300)], daemon=True) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        got = [await inbox.get() for _ in range(1200)]
        for n in range(4):
            assert [i for m, i in got if m == n] == list(range(300))
        for thread in threads:
            thread.join()

    run(scenario)


def test_cancelled_get_loses_nothing():
    async def scenario():
        dice = random.Random(3)
        inbox = Inbox(16)
        inbox.bind()

        def put_all():
            for i in range(400):
                inbox.put(i)
                if dice.random() < 0.2:
                    time.sleep(0.0005)

        thread = threading.Thread(target=put_all, daemon=True)
        thread.start()
        got = []
        while len(got) < 400:
            getting = asyncio.create_task(inbox.get())
            await asyncio.sleep(dice.choice((0, 0, 0.0003)))
            getting.cancel()
            await asyncio.wait({getting})
            if not getting.cancelled():
                got.append(getting.result())
        assert got == list(range(400))
        thread.join()

    run(scenario)


def test_failure_comes_after_what_is_queued_and_stays():
    async def scenario():
        inbox = Inbox(4)
        inbox.bind()
        inbox.put(1)
        inbox.fail(NotConnected("first"))
        inbox.fail(ValueError("second"))
        assert inbox.put(2) is False
        assert await inbox.get() == 1
        for _ in range(2):
            with pytest.raises(NotConnected, match="first"):
                await inbox.get()

    run(scenario)


def test_close_forgets_what_is_queued_and_wakes():
    async def scenario():
        inbox = Inbox(4)
        inbox.close()  # before it was bound
        inbox.bind()
        getting = asyncio.create_task(inbox.get())
        await asyncio.sleep(0.01)
        inbox.close()
        with pytest.raises(EndOfStream):
            await getting
        inbox.bind()
        inbox.put(1)
        inbox.close()
        inbox.close()
        assert inbox.put(2) is False
        with pytest.raises(EndOfStream):
            await inbox.get()

    run(scenario)


def test_bind_starts_afresh_also_on_another_loop():
    inbox = Inbox(4)

    async def scenario():
        inbox.bind()
        getting = asyncio.create_task(inbox.get())
        await asyncio.sleep(0.01)
        threading.Timer(0.01, inbox.put, ["item"]).start()
        assert await getting == "item"
        inbox.put("left over")
        inbox.fail(NotConnected("away"))

    run(scenario)
    run(scenario)


def test_put_after_the_loop_has_closed_is_harmless():
    inbox = Inbox(4)

    async def scenario():
        inbox.bind()

    run(scenario)
    assert inbox.put(1)


def test_a_stalled_loop_is_not_buried_in_wake_ups():
    async def scenario():
        inbox = Inbox(1, "latest")
        inbox.bind()
        before = len(asyncio.get_running_loop()._ready)
        for i in range(1000):
            inbox.put(i)
        assert len(asyncio.get_running_loop()._ready) - before < 10
        assert await inbox.get() == 999

    run(scenario)


def test_pump_reads_until_it_is_stopped():
    async def scenario():
        counter = iter(range(1000))
        inbox = Inbox(4)
        inbox.bind()
        pump = Pump("test", lambda: next(counter), inbox)
        pump.start()
        assert [await inbox.get() for _ in range(20)] == list(range(20))
        await pump.stop()  # while the thread is held up by a full inbox
        with pytest.raises(EndOfStream):
            await inbox.get()
        await pump.stop()

    run(scenario)


def test_pump_none_is_nothing_and_lets_it_stop():
    async def scenario():
        inbox = Inbox(4)
        inbox.bind()
        pump = Pump("test", lambda: time.sleep(0.005), inbox)
        pump.start()
        assert any(thread.name == "streamgru-test" for thread in threading.enumerate())
        assert await drain(inbox) == []
        await pump.stop()

    run(scenario)


@pytest.mark.parametrize("failure", [NotConnected("away"), EndOfStream("over"), OSError("odd"), SystemExit(3)])
def test_pump_hands_over_what_read_raises(failure):
    async def scenario():
        items = iter([1, 2])

        def read():
            item = next(items, None)
            if item is None:
                raise failure
            return item

        inbox = Inbox(4)
        inbox.bind()
        pump = Pump("test", read, inbox)
        pump.start()
        assert [await inbox.get(), await inbox.get()] == [1, 2]
        try:
            await inbox.get()
        except BaseException as error:
            assert error is failure
        else:
            raise AssertionError("nothing was raised")
        await pump.stop()

    run(scenario)


def test_pump_stops_unstarted():
    async def scenario():
        pump = Pump("test", lambda: 1, Inbox(1))
        await pump.stop()
        await pump.stop()

    run(scenario)


def test_one_thread_calls_one_after_the_other():
    async def scenario():
        before = threading.active_count()
        owned = OneThread("test")
        assert threading.active_count() == before
        under_way = []
        threads = set()

        def work(i):
            under_way.append(i)
            time.sleep(0.002)
            assert under_way.pop() == i
            assert not under_way
            threads.add(threading.current_thread())
            return i * i

        assert await asyncio.gather(*(owned.call(work, i) for i in range(10))) == [i * i for i in range(10)]
        assert len(threads) == 1
        assert threads.pop().name.startswith("streamgru-test")
        with pytest.raises(ZeroDivisionError):
            await owned.call(lambda: 1 // 0)
        await owned.close()
        await owned.close()

    run(scenario)


def test_one_thread_leaves_the_loop_free_and_close_waits_for_the_call():
    async def scenario():
        owned = OneThread("test")
        done = []
        call = asyncio.create_task(owned.call(lambda: (time.sleep(0.1), done.append(1))))
        start = time.monotonic()
        await asyncio.sleep(0.01)
        assert time.monotonic() - start < 0.09
        call.cancel()
        await asyncio.wait({call})
        assert not done
        await owned.close()
        assert done

    run(scenario)
