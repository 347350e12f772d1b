"""Run with the Python of an environment that has streamgru's wheel and examples/embed_cython; one check per argument.

Nothing of pytest or of the checkout is there.
"""

import sys
import threading
import time

import numpy as np
from channels import Channels

import streamgru
from streamgru.model.spec import Input, MaxPool1d, sequential

MODEL = streamgru.load("builtin:shoulder")
RNG = np.random.default_rng(20261123)


def inputs(n_steps):
    return RNG.uniform(-1, 1, (n_steps, MODEL.n_in)).astype(np.float32)


def outputs(x):
    return np.full((len(x), MODEL.n_out), 7, np.float32)


def raised(call):
    """What a call raises."""
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("expected an error")


def where_it_is_from():
    """The wheel, not the checkout."""
    assert "site-packages" in streamgru.__file__ and "site-packages" in sys.modules["channels"].__file__


def same_bits():
    channels, x = Channels(MODEL, 2), inputs(500)
    y = outputs(x)
    channels.run(0, x[:200], y[:200])
    channels.run(0, x[200:], y[200:])
    stream = MODEL.stream()
    assert y.tobytes() == stream.run(x).tobytes()
    assert channels.streams[0].snapshot() == stream.snapshot()
    assert channels.streams[1].n_steps == 0


def an_alarm_stops_in_time():
    x = inputs(500)
    expected = MODEL.stream().run(x)[:, 3]
    level = float(np.sort(expected)[-3])
    (first, second) = np.flatnonzero(expected > level)
    channels = Channels(MODEL, 1)
    assert channels.run_until(0, x, 3, level) == first + 1 == channels.streams[0].n_steps
    assert channels.run_until(0, x[first + 1 :], 3, level) == second - first
    assert channels.run_until(0, x[second + 1 :], 3, level) == len(x) - second - 1


def eight_threads_on_eight_streams():
    x = RNG.uniform(-1, 1, (8, 20_000, MODEL.n_in)).astype(np.float32)
    y = np.zeros((8, 20_000, MODEL.n_out), np.float32)
    channels = Channels(MODEL, 8)
    threads = [threading.Thread(target=channels.run, args=(i, x[i], y[i])) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        stream = MODEL.stream()
        assert y[i].tobytes() == stream.run(x[i]).tobytes()
        assert channels.streams[i].snapshot() == stream.snapshot()


def the_gil_is_given_away():
    """Another thread counts on while a block runs, though nobody is made to give the GIL away."""
    sys.setswitchinterval(10)
    x = inputs(50_000)
    thread = threading.Thread(target=Channels(MODEL, 1).run, args=(0, x, outputs(x)))
    ticks = 0
    thread.start()
    while thread.is_alive():
        ticks += 1
        time.sleep(0)
    assert ticks > 10


def a_network_that_answers_late_is_refused():
    spec = sequential(MaxPool1d(name="pool", size=2), inputs=(Input(name="x"),))
    error = raised(lambda: Channels(streamgru.Model(spec, {}), 1))
    assert type(error) is ValueError and "answers at every step" in str(error)


def two_threads_on_one_stream():
    """One of them is refused, and every step that was taken was a whole one."""
    channels, refused = Channels(MODEL, 1), []
    x = np.repeat(inputs(1), 1000, axis=0)
    deadline_s = time.monotonic() + 30

    def hammer():
        y = outputs(x)
        while not refused and time.monotonic() < deadline_s:
            try:
                channels.run(0, x, y)
            except streamgru.StreamBusy as error:
                refused.append(str(error))

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused and all("another thread" in words for words in refused)
    alone = MODEL.stream()
    for _ in range(channels.streams[0].n_steps):
        alone.step(x[0])
    assert channels.streams[0].snapshot() == alone.snapshot()


def errors_are_those_of_a_step():
    channels, x = Channels(MODEL, 1), inputs(5)
    y = outputs(x)
    x[3, 2] = np.nan
    error = raised(lambda: channels.run(0, x, y))
    expected = raised(lambda: MODEL.stream().step(x[3]))
    assert type(error) is type(expected) is streamgru.NonFiniteError
    assert str(error) == str(expected) == "x[2]: expected a finite float32, got nan"
    assert (y[3:] == 7).all()
    stream = MODEL.stream()
    assert y[:3].tobytes() == stream.run(x[:3]).tobytes()
    assert channels.streams[0].snapshot() == stream.snapshot()


def what_does_not_fit_is_refused():
    channels, x = Channels(MODEL, 1), inputs(5)
    double = streamgru.load("builtin:shoulder", dtype="float64")
    assert "float32" in str(raised(lambda: Channels(double, 1)))
    assert "streamgru.Stream" in str(raised(lambda: Channels(Other(), 1)))
    for call in (lambda: channels.run(1, x, outputs(x)), lambda: channels.run(-1, x, outputs(x))):
        assert isinstance(raised(call), IndexError)
    assert isinstance(raised(lambda: channels.run(0, x, outputs(x)[:4])), ValueError)
    assert channels.streams[0].n_steps == 0


class Other:
    """Not a model: its streams are none."""

    def stream(self):
        return object()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
