"""What logits say about tokens, in nats: surprise, and the divergence of one distribution from another."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.core.errors import EngineError


def log_probabilities(logits: Any) -> NDArray[np.float64]:
    """Natural logarithms of the probabilities, same shape as `logits` (vocabulary_size,). EngineError if a logit is no
    number, or none of them is finite."""
    values = np.asarray(logits, np.float64)
    top = values.max()
    if not np.isfinite(top):
        raise EngineError("the model's logits are no numbers", hint="check the model file, or another quantization")
    shifted: NDArray[np.float64] = values - top
    shifted -= np.log(np.exp(shifted).sum())
    return shifted


def surprise(logits: Any, token: int) -> float:
    """Minus the natural logarithm of the token's probability."""
    return -float(log_probabilities(logits)[token])


def kl(full: NDArray[np.float64], reduced: NDArray[np.float64]) -> float:
    """Kullback-Leibler divergence of `reduced` from `full`, both log probabilities: 0 where they are the same, infinite
    where `reduced` rules out what `full` allows."""
    possible = full > -np.inf
    log, other = full[possible], reduced[possible]
    # Rounding may leave a sum of next to nothing on the wrong side of zero.
    return max(0.0, float((np.exp(log) * (log - other)).sum()))
