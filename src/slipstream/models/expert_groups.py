"""Which neurons of a feed-forward go together into experts, and a router that knows when they matter.

After MoEfication (arXiv 2110.01786): neurons that fire on the same tokens make an expert, so that a token needs few of
them; what nearly every token needs is shared (DeepSeekMoE, arXiv 2401.06066).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipstream.models.dense_states import FeedForward
from slipstream.models.weights import Floats

ROUNDS = 6
"""Of clustering: groups hardly move after that."""
RIDGE = 0.1
"""Share of the inputs' own strength that is added against fitting few tokens too closely."""
TEMPERATURE = 1e-3
"""Standard deviation of the router's logits. Small, so that every expert's probability stays one in so many within a
thousandth and the experts add up to the dense feed-forward, while the order of the logits says whom to leave out."""

Indexes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Groups:
    """Neurons by index: the `shared` ones, and a row of `experts` for each expert. `router`: (experts, embedding)."""

    shared: Indexes
    experts: Indexes
    router: Floats


def group(found: FeedForward, experts: int, size: int) -> Groups:
    """Split a feed-forward into `experts` of `size` neurons each; the neurons that add most are shared."""
    contributions = (np.abs(found.neurons) * np.linalg.norm(found.down, axis=0)).T
    order = np.argsort(-contributions.mean(axis=1), kind="stable")
    shared, routed = order[: len(order) - experts * size], order[len(order) - experts * size :]
    members = routed[balanced(contributions[routed], experts)]
    outputs = [np.linalg.norm(found.neurons[:, one] @ found.down[:, one].T, axis=1) for one in members]
    return Groups(np.sort(shared), members, route(found.inputs, np.stack(outputs, axis=1)))


def balanced(vectors: Floats, groups: int) -> Indexes:
    """Spherical k-means with groups of equal size: row indexes of `vectors`, shape (groups, rows / groups), ascending
    within a group. The number of rows must be a multiple of `groups`; the same rows give the same groups."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    points = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    chosen = [int(lengths.argmax())]
    nearest = points @ points[chosen[0]]
    while len(chosen) < groups:
        # The one least like any that is chosen, but not a chosen one again if all are alike.
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, points @ points[chosen[-1]])
    centres = points[chosen]
    for _ in range(ROUNDS):
        members = _assign(points @ centres.T, len(points) // groups)
        centres = points[members].mean(axis=1)
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return members


def _assign(likeness: Floats, room: int) -> Indexes:
    """Best matches first, (rows, groups) to (groups, room): a full group sends the rest to their next best."""
    count, groups = likeness.shape
    members: list[list[int]] = [[] for _ in range(groups)]
    placed = [False] * count
    for place in np.argsort(-likeness, axis=None, kind="stable").tolist():
        row, number = divmod(place, groups)
        if not placed[row] and len(members[number]) < room:
            members[number].append(row)
            placed[row] = True
    return np.sort(np.array(members, np.int64), axis=1)


def route(inputs: Floats, outputs: Floats) -> Floats:
    """Ridge regression from a feed-forward's inputs (tokens, embedding) to how much each expert adds beyond the others
    (tokens, experts), scaled to TEMPERATURE; shape (experts, embedding)."""
    gram = inputs.T @ inputs
    gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram)
    wanted = outputs - outputs.mean(axis=1, keepdims=True)
    fitted = np.linalg.solve(gram.astype(np.float64), (inputs.T @ wanted).astype(np.float64))
    spread = float((inputs @ fitted).std())
    router: Floats = (fitted.T * (TEMPERATURE / max(spread, 1e-12))).astype(np.float32)
    return router
