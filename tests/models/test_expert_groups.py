"""Grouping neurons into experts, and routing to them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slipstream.models.dense_states import FeedForward
from slipstream.models.expert_groups import TEMPERATURE, balanced, group, route


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**16), st.booleans())
def test_groups_are_a_partition_in_equal_parts(groups: int, each: int, seed: int, alike: bool) -> None:
    vectors = np.random.default_rng(seed).random((groups * each, 7)).astype(np.float32)
    if alike:
        vectors[:] = vectors[0]
    members = balanced(vectors, groups)
    assert members.shape == (groups, each)
    assert sorted(members.reshape(-1).tolist()) == list(range(groups * each))
    assert np.array_equal(members, balanced(vectors, groups))


def test_what_fires_together_comes_together() -> None:
    random = np.random.default_rng(1)
    kind = np.repeat([0, 1, 2], 8)
    vectors = (np.eye(3)[kind] @ random.random((3, 40)) ** 4 + 0.01 * random.random((24, 40))).astype(np.float32)
    shuffled = random.permutation(24)
    for members in balanced(vectors[shuffled], 3):
        assert len(set(kind[shuffled][members].tolist())) == 1


def test_shares_what_adds_most_and_routes_to_what_adds_much() -> None:
    """Two experts, each awake where one input is large; four neurons that always add much."""
    random = np.random.default_rng(2)
    inputs = random.standard_normal((400, 6)).astype(np.float32)
    awake = np.abs(inputs[:, :2])
    neurons = np.concatenate([np.full((400, 4), 9.0), np.repeat(awake, 4, axis=1)], axis=1).astype(np.float32)
    order = random.permutation(12)
    found = group(FeedForward(np.abs(inputs), neurons[:, order], np.eye(12, dtype=np.float32)), 2, 4)
    assert sorted(order[found.shared].tolist()) == [0, 1, 2, 3]
    assert sorted(sorted(order[one].tolist()) for one in found.experts) == [[4, 5, 6, 7], [8, 9, 10, 11]]
    logits = np.abs(inputs) @ found.router.T
    first = 0 if 4 in order[found.experts[0]] else 1
    clear = np.abs(awake[:, 0] - awake[:, 1]) > 0.3
    right = (logits[:, first] > logits[:, 1 - first]) == (awake[:, 0] > awake[:, 1])
    assert right[clear].all()
    assert np.isclose(logits.std(), TEMPERATURE, rtol=0.5)


def test_a_router_of_nothing_is_finite() -> None:
    router = route(np.ones((5, 3), np.float32), np.ones((5, 2), np.float32))
    assert router.shape == (2, 3) and np.isfinite(router).all()
