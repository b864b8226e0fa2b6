"""The noise floor by A/A pairs."""

import math

import numpy as np

from slipstream.tune.noise import LEAST, Noise


def test_without_any_pair_nothing_is_believed() -> None:
    assert Noise().floor() == math.inf


def test_never_below_one_percent() -> None:
    assert Noise([0.0, 0.0]).floor(100) == LEAST


def test_more_launches_lower_it() -> None:
    noise = Noise([0.1, -0.1, 0.1, -0.1])
    assert noise.floor(4) == noise.floor() / 2
    noise.add(1.0)
    assert noise.floor() < Noise([0.1, -0.1, 0.1, -0.1]).floor()


def test_equals_exceed_it_about_once_in_twenty() -> None:
    """Launches with a spread of 2 %: pairs of them spread by the square root of two of that."""
    random = np.random.default_rng(7)
    exceeded = 0
    for _ in range(400):
        launches = random.normal(0, 0.02, 12)
        noise = Noise(list(np.diff(launches[:10])))
        exceeded += abs(launches[11] - launches[10]) > noise.floor()
    assert exceeded / 400 < 0.08
