"""Trained draft heads (EAGLE, Medusa, next-token-prediction layers): which file is one or carries one, what it needs.

All of them read the target's hidden states. llama.cpp computes these inside, but its public API doesn't hand them out;
what it exports besides is enough for a model's own next-token-prediction layer (engine.head_context), not for heads in
files of their own. The verdict says so instead of loading one as a model. Detection goes by what the file holds: a
configuration may promise layers that its weights lack.
"""

from dataclasses import dataclass
from itertools import chain
from typing import Literal

from slipstream.core.errors import RequestError
from slipstream.models.gguf import Header
from slipstream.models.gguf_reader import Reader, Tensor

Kind = Literal["none", "mtp", "eagle", "eagle3", "medusa", "dflash"]

BY_ARCHITECTURE: dict[str, Kind] = {
    "eagle": "eagle",
    "eagle2": "eagle",
    "eagle3": "eagle3",  # llama.cpp: models/eagle3.cpp
    "dflash": "dflash",  # llama.cpp: models/dflash.cpp
    "medusa": "medusa",
    "gemma4-assistant": "mtp",  # llama.cpp: models/gemma4-assistant.cpp, prediction layers in a file of their own
}
HIDDEN_STATES = "llama.cpp's public API to hand out the target's hidden states"
SEVERAL = "it would need layers that predict one after the other, and only a single one is supported"
NAMES: dict[Kind, str] = {
    "none": "no head",
    "mtp": "next-token-prediction layers",
    "eagle": "an EAGLE head",
    "eagle3": "an EAGLE-3 head",
    "medusa": "Medusa heads",
    "dflash": "a DFlash head",
}
NEEDS: dict[Kind, str] = {
    "none": "",
    "mtp": f"it would need {HIDDEN_STATES} across files",
    "eagle": f"it would need {HIDDEN_STATES}, and a head trained on exactly this model in this quantization",
    "eagle3": f"it would need {HIDDEN_STATES} from three layers, and a head trained on exactly this model",
    "medusa": f"it would need {HIDDEN_STATES}, and support for its architecture, which llama.cpp doesn't have",
    "dflash": f"it would need {HIDDEN_STATES} from several layers, and a head trained on exactly this model",
}


@dataclass(frozen=True, slots=True)
class HeadVerdict:
    """Whether a file is a draft head (`standalone`: of no use as a model) or a model that carries one.

    `usable` says whether this engine can draft with the head as far as the file tells, `needs` in one sentence what is
    necessary (for `usable` ones: what only loading can tell).
    `target_size` and `target_vocabulary` are hidden size and tokens of the model it belongs to, 0 if unknown.
    """

    kind: Kind
    usable: bool
    reason: str
    needs: str = ""
    standalone: bool = False
    layers: int = 0
    target_size: int = 0
    target_vocabulary: int = 0


def heads_of(header: Header) -> HeadVerdict:
    """What the file at `header.path` is, or carries, of draft heads. Reads its tensor list again.

    Raises ModelFileError if the file became unreadable since.
    """
    tensors = {tensor.name: tensor for tensor in _tensors(header)}
    declared = _number(header, "nextn_predict_layers")
    carried = {name.split(".")[1] for name in tensors if name.startswith("blk.") and ".nextn." in name}
    kind = _standalone(header, tensors)
    if kind != "none":
        return HeadVerdict(
            kind,
            usable=False,
            reason=f"the file is {NAMES[kind]}, not a model that generates text by itself",
            needs=NEEDS[kind],
            standalone=True,
            layers=declared or header.block_count,
            target_size=_target_size(header, kind, tensors),
            target_vocabulary=_target_vocabulary(header, tensors),
        )
    if carried:
        one = len(carried) == 1
        how = "which drafts where llama.cpp runs it for this architecture" if one else "and runs without them"
        return HeadVerdict(
            "mtp",
            usable=one,
            reason=f"the model brings {_layers(len(carried))}, {how}",
            needs="loading tells whether this architecture's layer can run" if one else SEVERAL,
            layers=len(carried),
            target_size=header.embedding_length,
            target_vocabulary=header.vocabulary_size,
        )
    if declared:
        reason = f"the file declares {_layers(declared)}, but holds none of their weights"
        return HeadVerdict("none", usable=False, reason=reason)
    return HeadVerdict("none", usable=False, reason="an ordinary model without draft heads")


def require_head_for(head: Header, target: Header) -> None:
    """RequestError if `head` is a draft head of another model than `target`, by hidden size and vocabulary, or no head.

    What fits in shape may still be trained on another model: only a measurement tells.
    """
    verdict = heads_of(head)
    if verdict.kind == "none":
        raise RequestError(f"{head.path.name} is no draft head: {verdict.reason}", hint="use it as a draft model")
    for what, unit, theirs, ours in (
        ("hidden states", "numbers", verdict.target_size, target.embedding_length),
        ("a vocabulary", "tokens", verdict.target_vocabulary, target.vocabulary_size),
    ):
        if theirs and ours and theirs != ours:
            raise RequestError(
                f"{head.path.name} is made for {what} of {theirs} {unit}, but {target.path.name} has {ours}",
                hint="use the head that was trained for this model",
            )


def _standalone(header: Header, tensors: dict[str, Tensor]) -> Kind:
    """Which kind of head the file as a whole is; "none" if it is a model."""
    if header.architecture in BY_ARCHITECTURE:
        return BY_ARCHITECTURE[header.architecture]
    if any("medusa" in name.lower() for name in chain(tensors, header.metadata)):
        # With a base model inside it runs as a model, but no writer of GGUF is known that does so.
        return "medusa"
    # EAGLE heads converted as ordinary models: a layer that joins embedding and hidden state (Python names included).
    if "fc.weight" in tensors and header.block_count <= 2:
        return "eagle3" if "d2t" in tensors else "eagle"
    return "none"


def _target_size(header: Header, kind: Kind, tensors: dict[str, Tensor]) -> int:
    """Hidden size of the model that the head reads."""
    if kind == "eagle3":
        return _number(header, "target_hidden_size") or header.embedding_length
    if header.architecture == "gemma4-assistant":
        return _number(header, "embedding_length_out")
    if kind == "medusa":
        blocks = [tensor for name, tensor in tensors.items() if "medusa" in name.lower() and len(tensor.shape) == 2]
        return blocks[0].shape[0] if blocks else header.embedding_length
    return header.embedding_length


def _target_vocabulary(header: Header, tensors: dict[str, Tensor]) -> int:
    """Tokens of the model that the head reads. The output of an EAGLE-3 head may be shorter: `d2t` translates it."""
    if header.vocabulary_size:
        return header.vocabulary_size
    embedding = tensors.get("token_embd.weight")
    return embedding.shape[1] if embedding and len(embedding.shape) == 2 else 0


def _tensors(header: Header) -> list[Tensor]:
    """All tensors of all parts, by their headers."""
    found = []
    for file in header.files:
        with Reader(file) as reader:
            _, count, keys = reader.preamble()
            for _ in range(keys):
                reader.key_value()
            found += [reader.tensor() for _ in range(count)]
    return found


def _number(header: Header, key: str) -> int:
    value = header.metadata.get(f"{header.architecture}.{key}")
    return value if isinstance(value, int) else 0


def _layers(count: int) -> str:
    return f"{count} next-token-prediction layer{'s' if count != 1 else ''}"
