"""Where the rows lie that are kept, and windows that do not fit."""

import numpy as np
import pytest

from streamgru.errors import SpecError
from streamgru.model import spec as s
from streamgru.model.clocks import EVERY, Clock
from streamgru.model.layout import lay_out
from streamgru.model.placed import ALIGN

X = s.Input(name="x", size=3)


def placed(*layers, tensors=None):
    return lay_out(s.Program(inputs=(X,), layers=layers), tensors or {}, ALIGN)


def test_the_new_rows_of_a_window_are_its_next_state():
    layout = placed(s.MaxPool1d(name="pool", size=4, before=3))
    (layer,) = layout.layers
    kept, entry = layer.window, layout.state[0]
    assert (entry.name, entry.shape, entry.clock) == ("pool", (3, 3), EVERY)
    start = kept.buffer.offset
    assert (kept.buffer.size, entry.new, entry.new + entry.size) == (12, start + 3, start + 12)
    assert (kept.taken.offset, kept.taken.size) == (kept.buffer.offset, 12)
    assert not layout.timed and layer.clock == EVERY


def test_a_window_of_one_row_keeps_nothing():
    layout = placed(s.MaxPool1d(name="pool", size=1, stride=3))
    assert layout.state == [] and layout.layers[0].window is None
    assert layout.timed and layout.y.clock == Clock(0, 3)


def test_rows_of_padding_are_told_from_others_only_where_it_matters():
    def width(**options):
        return placed(s.AveragePool1d(name="pool", size=3, **options)).state[0].width

    assert width(before=2) == 4
    assert width(before=2, padding="counted") == width(before=0) == 3


def test_an_input_that_waits_for_two_layers_is_kept_once():
    pool = s.MaxPool1d(name="pool", size=3, before=0)
    both = (s.Add(name=name, inputs=inputs) for name, inputs in (("a", ("pool", "x")), ("b", ("x", "a"))))
    layout = placed(pool, *both)
    assert [(entry.name, entry.shape) for entry in layout.state] == [("pool", (2, 3)), ("x:2", (2, 3))]
    assert [len(layer.delays) for layer in layout.layers] == [0, 1, 0]
    assert layout.layers[1].inputs[1] == layout.layers[2].inputs[0]


def test_clocks_follow_from_the_layers():
    layout = placed(
        s.MaxPool1d(name="a", size=3, stride=2, before=1),
        s.AveragePool1d(name="b", size=4, stride=3, before=1),
        s.Activation(name="c", function="tanh"),
    )
    assert [layer.clock for layer in layout.layers] == [Clock(1, 2), Clock(5, 6), Clock(5, 6)]
    assert layout.y.clock == Clock(5, 6)


@pytest.mark.parametrize(
    "layers, words",
    [
        ([s.MaxPool1d(name="p", size=3, before=3)], "'p': expected at most 2 rows of padding before.* got 3"),
        ([s.AveragePool1d(name="p", size=1, before=1)], "at most 0 rows of padding"),
        (
            [s.MaxPool1d(name="p", size=2, stride=2), s.Add(name="a", inputs=("p", "x"))],
            r"'a': expected inputs that are made equally often, got one at every 1\. step and one at every 2\.",
        ),
        ([s.MaxPool1d(name=f"p{i}", size=1, stride=65_536) for i in range(2)], r"below 2\*\*31"),
        ([s.MaxPool1d(name=f"p{i}", size=65_536) for i in range(3)], "more than 16777216 elements of scratch"),
        ([s.MaxPool1d(name="p", size=2), s.Div(name="d")], "'d': a div layer takes 2"),
    ],
)
def test_what_does_not_fit(layers, words):
    with pytest.raises(SpecError, match=words):
        lay_out(s.Program(inputs=(s.Input(name="x", size=300),), layers=tuple(layers)), {}, ALIGN)


def test_a_far_look_back_is_refused_before_anything_is_reserved():
    layer = s.Conv1d(name="c", n_out=1, size=65_536, dilation=65_536)
    with pytest.raises(SpecError, match=r"below|scratch"):
        placed(layer, tensors={"c.weight": np.zeros((1, 3 * 65_536), np.float32)})


def test_more_padding_than_a_dilated_window_has_room_for():
    layer, weight = s.Conv1d(name="c", n_out=1, size=3, dilation=4, before=9), {"c.weight": np.zeros((1, 9))}
    with pytest.raises(SpecError, match=r"at most 8 rows of padding before.* got 9; give it a smaller 'before'"):
        placed(layer, tensors=weight)


def test_the_weight_of_a_convolution():
    with pytest.raises(SpecError, match=r"'c.weight': expected shape \(2, 12\), got \(2, 4, 3\)"):
        placed(s.Conv1d(name="c", n_out=2, size=4), tensors={"c.weight": np.zeros((2, 4, 3))})
