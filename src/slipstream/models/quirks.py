"""Begin, end and other marks of two token tables that look like trouble and are none for drafting."""

from slipstream.models.vocabulary import BYTE, BYTE_PAIR, BYTE_PAIR_DEFAULT, NORMAL, Vocabulary

HARMLESS = "harmless, because the draft model is fed the target's own tokens"
HARMLESS_END = "harmless, because the target alone decides when a text ends"
OWN_BEGIN = "it only concerns the prompt, which both models see alike"
OWN_END = "it may not stop where it should, with or without drafts"
ROLES = (("bos", "begin"), ("eos", "end"))


def quirks(target: Vocabulary, draft: Vocabulary) -> tuple[str, ...]:
    """One line per quirk, each with the reason why it is none of drafting's business."""
    notes = [note for one, who in ((target, "target"), (draft, "draft")) for note in _own(one, who)]
    for role, word in ROLES:
        ours, theirs = target.role(role), draft.role(role)
        if ours is not None and theirs is not None and _text(target, ours) != _text(draft, theirs):
            notes.append(
                f"the {word} tokens differ, {_shown(target, ours)} and {_shown(draft, theirs)}: "
                + (HARMLESS if role == "bos" else HARMLESS_END)
            )
    for word, a, b in (("begin", target.add_begin, draft.add_begin), ("end", target.add_end, draft.add_end)):
        if bool(a) != bool(b):
            who = "target" if a else "draft"
            notes.append(f"only the {who} asks for a {word} token to be added: {HARMLESS}")
    if target.pre != draft.pre and target.tokenizer == draft.tokenizer:
        notes.append(
            f"text is split by {target.pre!r} in the target, {draft.pre!r} in the draft: the draft model sees sequences"
            " that it would not have made itself"
        )
    if target.types and draft.types:
        tables = zip(target.texts, draft.texts, target.types, draft.types, strict=False)
        kinds = sum(ours == theirs and kind != other for ours, theirs, kind, other in tables)
        if kinds:
            notes.append(f"{kinds} tokens with the same text are of another kind (control, normal): {HARMLESS}")
    return tuple(notes)


def _own(vocabulary: Vocabulary, who: str) -> list[str]:
    """Quirks of one table alone."""
    reasons = (HARMLESS, HARMLESS_END) if who == "draft" else (OWN_BEGIN, OWN_END)
    notes = []
    for (role, word), why in zip(ROLES, reasons, strict=True):
        token = vocabulary.role(role)
        if token is None:
            if vocabulary.tokenizer in BYTE_PAIR and len(vocabulary) > BYTE_PAIR_DEFAULT:
                taken = f", so llama.cpp takes token {_shown(vocabulary, BYTE_PAIR_DEFAULT)}"
            else:
                taken = ""
            notes.append(f"quirk: the {who} names no {word} token{taken}: {why}")
        elif not 0 <= token < len(vocabulary):
            notes.append(f"quirk: the {who}'s {word} token {token} is outside its table: {why}")
        elif vocabulary.kind(token) in (NORMAL, BYTE) and vocabulary.types:
            notes.append(f"quirk: the {who}'s {word} token is an ordinary one, {_shown(vocabulary, token)}: {why}")
    return notes


def _text(vocabulary: Vocabulary, token: int) -> str:
    return vocabulary.texts[token] if 0 <= token < len(vocabulary) else ""


def _shown(vocabulary: Vocabulary, token: int) -> str:
    return f"{token} ({_text(vocabulary, token)!r})"
