"""Rounding to int8, against the definitions written out in loops."""

import numpy as np
import pytest

from streamgru.model.quantise import quantise, row_scale


def gaussian(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def correlated(rng, n_steps, n_cols):
    """Vectors whose elements go together, as the states of a GRU do, and are not around 0."""
    mixed = rng.standard_normal((n_steps, n_cols)) @ rng.standard_normal((n_cols, n_cols)) ** 3
    return mixed + rng.standard_normal(n_cols)


def squared_error(row, scale):
    return sum((max(-127, min(127, round(w / scale))) * scale - w) ** 2 for w in row)


def product_error(weight, quantised, x):
    """The mean square of what comes out wrong."""
    return np.mean(np.square(x @ (quantised.widened().astype(np.float64) - weight).T))


def surgeon(weight, moments, scale, order):
    """Optimal brain surgeon: fix a column, move all others by the inverse of the moments, strike it out."""
    rest, q8 = weight.astype(np.float64), np.zeros(weight.shape, int)
    inverse = np.linalg.inv(moments)
    for k in order:
        q8[:, k] = np.clip(np.rint(rest[:, k] / scale), -127, 127)
        error = (rest[:, k] - q8[:, k] * scale) / inverse[k, k]
        rest = rest - np.outer(error, inverse[k])
        inverse = inverse - np.outer(inverse[:, k], inverse[k]) / inverse[k, k]
    return q8


def test_every_weight_is_the_nearest_multiple_or_at_the_end(rng):
    weight = gaussian(rng, 9, 40)
    found = quantise(weight)
    error = np.abs(found.widened().astype(np.float64) - weight)
    half = found.scale[:, None] / 2 * (1 + 1e-6)
    assert ((error <= half) | (np.abs(found.q8) == 127)).all()
    assert (np.sign(found.q8) * np.sign(weight) >= 0).all()


@pytest.mark.parametrize("n_cols", [3, 16, 250])
def test_the_scale_is_the_best_of_many(rng, n_cols):
    weight = rng.standard_t(3, (6, n_cols))
    scales = row_scale(weight, np.ones(n_cols))
    for row, scale in zip(weight, scales.astype(np.float64), strict=True):
        largest = np.abs(row).max() / 127
        tried = min(squared_error(row, largest * share) for share in np.linspace(0.4, 1, 200))
        assert squared_error(row, scale) <= squared_error(row, np.float64(np.float32(largest)))
        assert squared_error(row, scale) <= 1.5 * tried


def test_a_heavier_column_has_more_say(rng):
    weight = np.array([[1.0, 0.03, 0.05, 0.07]])
    assert row_scale(weight, np.array([1e-6, 1, 1, 1])) < row_scale(weight, np.array([1, 1e-6, 1e-6, 1e-6]))


@pytest.mark.parametrize("n_cols", [1, 2, 7, 24])
def test_second_order_is_the_brain_surgeon(rng, n_cols):
    weight, x = gaussian(rng, 5, n_cols), correlated(rng, 400, n_cols)
    moments = x.T @ x / len(x)
    found = quantise(weight, [moments])
    damped = moments + 0.01 * np.diag(moments).mean() * np.eye(n_cols)
    order = np.argsort(-np.diag(moments), kind="stable")
    expected = surgeon(weight, damped, found.scale.astype(np.float64), order)
    assert (found.q8 == expected).mean() > 0.99  # a tie may fall either way


def test_products_come_out_better(rng):
    weight, x = gaussian(rng, 30, 64), correlated(rng, 2000, 64)
    nearest, second = quantise(weight), quantise(weight, [x.T @ x / len(x)])
    assert product_error(weight, second, x) < 0.5 * product_error(weight, nearest, x)


def test_blocks_of_rows_have_moments_of_their_own(rng):
    weight = gaussian(rng, 6, 10)
    moments = [x.T @ x / len(x) for x in (correlated(rng, 100, 10) for _ in range(3))]
    together = quantise(weight, moments)
    for k in range(3):
        alone = quantise(weight[2 * k : 2 * k + 2], [moments[k]])
        np.testing.assert_array_equal(together.q8[2 * k : 2 * k + 2], alone.q8)
        np.testing.assert_array_equal(together.scale[2 * k : 2 * k + 2], alone.scale)


@pytest.mark.parametrize("moments", [None, [np.eye(4)], [np.zeros((4, 4))]], ids=["none", "unit", "zero"])
def test_rows_of_zeros_and_inputs_that_are_always_zero(moments):
    weight = np.array([[0, 0, 0, 0], [1, -2, 0.5, 1e-30]], np.float32)
    found = quantise(weight, moments)
    assert found.q8.dtype == np.int8 and found.scale.dtype == np.float32
    np.testing.assert_array_equal(found.widened()[0], np.zeros(4))
    np.testing.assert_allclose(found.widened()[1], weight[1], atol=2 / 127)


def test_float16_and_float64_are_taken(rng):
    weight = gaussian(rng, 3, 5).astype(np.float16)
    for same in (weight.astype(np.float32), weight.astype(np.float64)):
        np.testing.assert_array_equal(quantise(weight).q8, quantise(same).q8)
