"""What a draft model needs between its vocabulary and the target's; nothing but a copy where they are the same."""

from collections.abc import Sequence
from typing import Protocol

Translated = tuple[tuple[int, ...], tuple[float, ...]]
"""Tokens, and the probability of each given those before it."""

NOTHING: Translated = ((), ())


class Bridge(Protocol):
    """One request's way from the target's vocabulary to the draft's and back."""

    @property
    def context(self) -> Sequence[int]:
        """What was said so far in the draft's tokens. A view: it changes with the next commit."""
        ...

    def begin(self, prompt: Sequence[int]) -> None:
        """A request starts with these tokens of the target; what was known before is forgotten."""
        ...

    def commit(self, tokens: Sequence[int]) -> int:
        """The target emitted these. Returns how many tokens at the start of the context stay as they were: the KV of
        the draft model is valid up to there."""
        ...

    def translate(self, tokens: Sequence[int], probabilities: Sequence[float]) -> Translated:
        """What the draft model said after the context, in tokens of the target."""
        ...

    def target_token(self, token: int) -> int | None:
        """The target's token for a draft token on its own; None if that takes more than a look at the token."""
        ...

    def stops(self, token: int) -> bool:
        """Whether `translate` gives nothing from this draft token on, whatever follows."""
        ...

    def end(self) -> None:
        """The request is over: forget it."""
        ...


class Identity:
    """Both models have the same vocabulary."""

    def __init__(self) -> None:
        self.context: list[int] = []

    def begin(self, prompt: Sequence[int]) -> None:
        """The prompt is the context."""
        self.context = list(prompt)

    def commit(self, tokens: Sequence[int]) -> int:
        """The context grows and never changes."""
        self.context.extend(tokens)
        return len(self.context) - len(tokens)

    def translate(self, tokens: Sequence[int], probabilities: Sequence[float]) -> Translated:
        """The same tokens."""
        return tuple(tokens), tuple(probabilities)

    def target_token(self, token: int) -> int | None:
        """Itself."""
        return token

    def stops(self, token: int) -> bool:
        """Never."""
        return False

    def end(self) -> None:
        """Forget the request."""
        self.context = []
