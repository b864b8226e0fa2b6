"""Can one model draft for another? Their token tables are compared text by text; names prove nothing either way.

Agreeing tables say that drafts can be read, not that they are any good: that takes a measured probe.
"""

from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slipstream.models.quirks import quirks
from slipstream.models.vocabulary import CONTROL, USER_DEFINED, Vocabulary

Kind = Literal["same", "padded", "partial", "foreign", "broken"]
Ids = NDArray[np.int32]

SHOWN = 8
"""Differing tokens that a verdict lists."""
LEAST_COVERED = 0.5
"""Share of the target's tokens that a draft must know by text, below which re-tokenizing the text is the better way."""
LEAST_COVERED_ACROSS = 0.9
"""The same where the two split text by different rules, so that even common tokens come in unusual sequences."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenMap:
    """Ids by equal text, -1 where the other table has none: `to_draft` is indexed by the target's, `to_target` by the
    draft's. The shares say how much of a table the other one has, fillers left out.
    """

    to_draft: Ids
    to_target: Ids
    target_covered: float
    draft_covered: float


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """What the tables say about a pair.

    same      the same texts at the same ids
    padded    so too, but for fillers, or control tokens that only one table has at its end
    partial   one family of tokenizers, but texts differ or moved: drafts go through `map`
    foreign   another tokenizer: drafts have to go through text
    broken    a file without a usable token table

    `shared` counts the target's tokens that the draft has too, by text. `differing` is the first few ids whose texts
    differ, with both texts (None past a table's end), of `differing_count`. `map` is there for padded and partial.
    """

    kind: Kind
    reason: str
    notes: tuple[str, ...] = ()
    differing: tuple[tuple[int, str | None, str | None], ...] = ()
    differing_count: int = 0
    shared: int = 0
    map: TokenMap | None = None

    @property
    def usable(self) -> bool:
        """Whether drafts can be read at all."""
        return self.kind != "broken"


def compare(target: Vocabulary, draft: Vocabulary) -> PairVerdict:
    """The verdict on two token tables."""
    for role, one in (("target", target), ("draft", draft)):
        if one.fault:
            return PairVerdict("broken", f"the {role} {one.name} can't take part: {one.fault}")
    notes = quirks(target, draft)
    pairs = zip_longest(target.texts, draft.texts)
    differing = [token for token, (ours, theirs) in enumerate(pairs) if ours != theirs]
    if target.tokenizer == draft.tokenizer and not differing:
        return PairVerdict("same", f"all {len(target)} tokens have the same text", notes, shared=len(target))

    mapping = _map(target, draft)
    kind, reason = _kind(target, draft, differing, mapping)
    shown = tuple((token, _text(target, token), _text(draft, token)) for token in islice(differing, SHOWN))
    return PairVerdict(
        kind,
        reason,
        # A foreign draft is fed text, so what would disturb its tokens doesn't arise.
        () if kind == "foreign" else notes,
        differing=shown,
        differing_count=len(differing),
        shared=int((mapping.to_draft >= 0).sum()),
        map=None if kind == "foreign" else mapping,
    )


def shared_controls(target: Vocabulary, draft: Vocabulary) -> dict[int, tuple[int, ...]]:
    """For a foreign pair: control tokens of the target that the draft has by text, as control tokens too."""
    marks = (CONTROL, USER_DEFINED)
    theirs = {text: token for token, text in enumerate(draft.texts) if draft.kind(token) in marks}
    return {
        token: (theirs[text],)
        for token, text in enumerate(target.texts)
        if target.kind(token) in marks and text in theirs
    }


def _kind(target: Vocabulary, draft: Vocabulary, differing: list[int], mapping: TokenMap) -> tuple[Kind, str]:
    """Verdict and reason for tables that are not the same."""
    if target.tokenizer != draft.tokenizer:
        what = f"the target's tokenizer is {target.tokenizer!r}, the draft's {draft.tokenizer!r}"
        return "foreign", f"{what}: the same text is cut differently"
    if all(_harmless(target, draft, token) for token in differing):
        gap = abs(len(target) - len(draft))
        longer = "target" if len(target) > len(draft) else "draft"
        what = f"the {longer} has {gap} more at its end" if gap else f"{len(differing)} differ"
        return "padded", f"equal tables: {what}, all of them fillers or control tokens"
    share = f"the draft has {mapping.target_covered:.1%} of the target's tokens"
    across = target.pre != draft.pre
    if mapping.target_covered < (LEAST_COVERED_ACROSS if across else LEAST_COVERED):
        rules = f", and text is split by {draft.pre!r} instead of {target.pre!r}" if across else ""
        return "foreign", f"{share}{rules}"
    return "partial", f"{share}, but {len(differing)} ids differ: they are translated by text"


def _harmless(target: Vocabulary, draft: Vocabulary, token: int) -> bool:
    """Whether this id's difference can't matter to text: fillers on both sides, or past the shorter table's end."""
    sides = [one for one in (target, draft) if token < len(one)]
    if len(sides) == 2:
        return all(one.is_spare(token) for one in sides)
    return sides[0].is_spare(token) or sides[0].kind(token) == CONTROL


def _map(target: Vocabulary, draft: Vocabulary) -> TokenMap:
    to_draft, to_target = _ids(target, draft), _ids(draft, target)
    return TokenMap(to_draft, to_target, _covered(target, to_draft), _covered(draft, to_target))


def _ids(source: Vocabulary, other: Vocabulary) -> Ids:
    """For each token of `source` the id of `other` with its text: the same id where it fits, else the first."""
    first: dict[str, int] = {}
    for token, text in enumerate(other.texts):
        first.setdefault(text, token)
    known = len(other)
    return np.fromiter(
        (
            token if token < known and other.texts[token] == text else first.get(text, -1)
            for token, text in enumerate(source.texts)
        ),
        np.int32,
        len(source),
    )


def _covered(source: Vocabulary, ids: Ids) -> float:
    counted = [id_ >= 0 for token, id_ in enumerate(ids.tolist()) if not source.is_spare(token)]
    return sum(counted) / len(counted) if counted else 0.0


def _text(vocabulary: Vocabulary, token: int) -> str | None:
    return vocabulary.texts[token] if token < len(vocabulary) else None
