"""Sample-and-match acceptance (invariant I1): the only place that decides which draft tokens stand."""

from collections.abc import Callable, Sequence


def accept(
    draft: Sequence[int], sample: Callable[[int], int], ends: Callable[[int], bool] = lambda token: False
) -> list[int]:
    """Tokens that this round emits: the accepted part of `draft`, then the target's own (bonus) token.

    `sample(i)` draws the target's token at position i and advances the sampler; it is called for position i only if
    every earlier draft token matched, so any draft leaves the target's distribution untouched. `ends` sees every
    emitted token, in order; the round stops after one for which it is true.
    """
    emitted: list[int] = []
    for position in range(len(draft) + 1):
        token = sample(position)
        emitted.append(token)
        if ends(token) or position == len(draft) or token != draft[position]:
            break
    return emitted
