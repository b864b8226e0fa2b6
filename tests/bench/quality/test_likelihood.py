"""The arithmetic of logits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slipstream.bench.quality.likelihood import kl, log_probabilities, surprise
from slipstream.core.errors import EngineError

LOGITS = arrays(np.float32, 12, elements=st.floats(-40, 40, width=32))


@given(LOGITS, st.floats(-100, 100))
def test_probabilities_sum_to_one_whatever_the_level(logits: np.ndarray, level: float) -> None:
    found = log_probabilities(logits)
    assert np.exp(found).sum() == pytest.approx(1)
    assert log_probabilities(logits.astype(np.float64) + level) == pytest.approx(found, abs=1e-9)


@given(LOGITS, LOGITS)
def test_divergence_is_never_negative_and_zero_of_itself(p: np.ndarray, q: np.ndarray) -> None:
    full, reduced = log_probabilities(p), log_probabilities(q)
    assert kl(full, reduced) >= 0
    assert kl(full, full) == 0


def test_divergence_of_two_coins() -> None:
    full, reduced = log_probabilities(np.log([0.5, 0.5])), log_probabilities(np.log([0.9, 0.1]))
    assert kl(full, reduced) == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1))


def test_what_one_rules_out() -> None:
    never = log_probabilities(np.array([0.0, -np.inf]))
    even = log_probabilities(np.array([0.0, 0.0]))
    assert kl(never, even) == pytest.approx(math.log(2))
    assert kl(even, never) == math.inf


def test_surprise_counts_nats() -> None:
    assert surprise(np.zeros(8, np.float32), 3) == pytest.approx(math.log(8))
    assert surprise(np.array([0.0, 50.0]), 1) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("logits", [[math.nan, 1.0], [-math.inf, -math.inf], [math.inf, 1.0]])
def test_logits_that_are_no_numbers_are_refused(logits: list[float]) -> None:
    with pytest.raises(EngineError, match="no numbers"):
        log_probabilities(np.array(logits))
