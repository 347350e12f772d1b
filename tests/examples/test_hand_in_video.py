"""The network that watches a hand: torch's answers on a track that needs no data."""

import numpy as np

import streamgru
from tests.examples.support import EXAMPLES, module, result


def test_the_answers_are_those_of_torch():
    model = streamgru.load(EXAMPLES / "hand_in_video" / "model.safetensors", dtype="float64")
    tracks, stream = module("hand_in_video", "tracks"), model.stream()
    y = np.array([stream.step(frame) for frame in tracks.made_track()])
    every = int(tracks.FRAMES_PER_S)
    assert np.abs(y[every - 1 :: every, 0] - result("hand_in_video")["made_track"]).max() < 1e-5
    assert model.labels == tuple(tracks.LABELS.values())


def test_it_is_better_than_the_nearest_whole_track_after_two_seconds():
    found = result("hand_in_video")
    assert found["after_s"]["2"] > found["nearest_track"]
