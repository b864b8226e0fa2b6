"""What rules a pair of files out before their tokens are looked at, and what to know about the draft model."""

from slipstream.core.errors import ContextOverflow, RequestError
from slipstream.models.gguf import Header, identity
from slipstream.models.heads import heads_of, require_head_for
from slipstream.models.pruned import pruned_from, require_source


def check_pair(target: Header, draft: Header, context_length: int, *, experts: int = 0) -> tuple[str, ...]:
    """Notes on a pair that may be tried, with the target opened for `context_length` tokens, and the draft with so many
    `experts` a token (0: as its file says). The same file may draft for itself with fewer.

    Raises RequestError if both are the same model, one is a draft head, or the draft is larger than the target;
    ContextOverflow if it was trained for less context; ModelFileError if it was pruned from another model than the
    target, or if a file can't be read.
    """
    if _same_file(target, draft) and not 0 < experts < target.experts_used:
        raise RequestError(
            f"{target.path} and {draft.path} are the same model: it would cost as much as it saves",
            hint="name a smaller model of the same family as draft"
            + (f", or use fewer than its {target.experts_used} experts" if target.expert_count else ""),
        )
    own, head = heads_of(target), heads_of(draft)
    if own.standalone:
        raise RequestError(f"{target.path.name} can't be a target: {own.reason}", hint="name a whole model")
    if head.standalone:
        require_head_for(draft, target)
        raise RequestError(f"{draft.path.name} can't draft: {head.reason}", hint=head.needs)
    if draft.weights_bytes > target.weights_bytes:
        raise RequestError(
            f"the draft {draft.path.name} is larger than its target {target.path.name}:"
            f" {draft.weights_bytes / 1e9:.2f} GB against {target.weights_bytes / 1e9:.2f} GB of weights",
            hint="name the target first, then the draft",
        )
    if 0 < draft.context_length < context_length:
        raise ContextOverflow(
            f"the draft {draft.path.name} was trained for {draft.context_length} tokens, but the target is opened for"
            f" {context_length}",
            hint=f"use a context of at most {draft.context_length}",
        )
    notes = []
    if (made := pruned_from(draft)) is not None:
        require_source(made, target.path)
        notes.append(f"the draft is a copy of the target without {len(made.skip)} of its sub-layers")
    if target.recurrent:
        notes.append("the target keeps a running state: refused tokens can cost it more than a forecast counts")
    if draft.recurrent:
        notes.append("the draft keeps a running state: going back after a refused token costs it a restored checkpoint")
    if draft.expert_count:
        used = experts or draft.experts_used
        notes.append(f"the draft has {draft.expert_count} experts, of which a token uses {used}")
    if own.usable:
        notes.append("the target brings a next-token-prediction layer of its own, which may draft for less")
    return tuple(notes)


def _same_file(target: Header, draft: Header) -> bool:
    if target.path.resolve() == draft.path.resolve():
        return True
    return target.file_size == draft.file_size and identity(target.path) == identity(draft.path)
