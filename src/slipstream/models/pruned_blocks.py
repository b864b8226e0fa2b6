"""A model without some of its blocks, in its own architecture; refused where a block's place in the order matters."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from slipstream.core.errors import ModelFileError, RequestError
from slipstream.models.gguf import Header
from slipstream.models.gguf_raw import BOOL, UINT32, Entry, RawModel, RawTensor

BLOCK = re.compile(r"blk\.(?P<index>\d+)\.(?P<rest>.+)")
WINDOWS = "attention.sliding_window_pattern"
DENSE_LEAD = "leading_dense_block_count"

# Keys with one value per block, where their value is an array.
PER_BLOCK = (
    "attention.head_count",
    "attention.head_count_kv",
    "attention.rope_pattern",
    WINDOWS,
    "feed_forward_length",
    "expert_feed_forward_length",
    "expert_used_count",
    "swiglu_clamp_exp",
    "swiglu_clamp_shexp",
)
PER_BLOCK_ANYWHERE = ("xielu.alpha_n", "xielu.alpha_p", "xielu.beta", "xielu.eps")
# Arrays that have nothing to do with blocks, even if they are as long as there are blocks.
NOT_PER_BLOCK = ("rope.dimension_sections", "classifier.output_labels")

# How llama.cpp 0.3.36 (load_swa_pattern in src/models) lays out sliding windows where a file doesn't list them: of
# every so many blocks one attends to everything, the last or (True) the first. An array in the file goes before.
WINDOW_PERIODS: Mapping[str, tuple[int, bool]] = MappingProxyType(
    {
        "cohere2": (4, False),
        "cohere2moe": (4, True),
        "exaone-moe": (4, False),
        "exaone4": (4, False),
        "gemma-embedding": (6, False),
        "gemma2": (2, False),
        "gemma3": (6, False),
        "gpt-oss": (2, False),
        "laguna": (4, True),
        "mellum": (4, False),
        "modern-bert": (3, True),
        "muse-glimmer": (4, False),
        "olmo2": (4, False),
        "plamo3": (8, False),
    }
)

# What llama.cpp computes from a block's index or from their number, so that no file can say otherwise.
NO_ROPE = "every few blocks have no positions, by their index"
SHARED = "late blocks use the cache of earlier ones, by their index"
BY_COUNT = "the engine derives settings from the number of blocks"
STATE = "blocks keep a running state"
FIXED_ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {
        "afmoe": NO_ROPE,
        "llama4": NO_ROPE,
        "smallthinker": NO_ROPE,
        "smollm3": NO_ROPE,
        "gemma3n": SHARED,
        "gemma4": SHARED,
        "gemma4-assistant": SHARED,
        "baichuan": BY_COUNT,
        "deepseek2": BY_COUNT,
        "mistral4": BY_COUNT,
        "bailingmoe3": STATE,
        "kimi-linear": STATE,
        "kimi-k3": STATE,
        "minimax-01": STATE,
    }
)
# Numbers of blocks that llama.cpp takes for one model of the family, which it then treats differently.
SPECIAL_COUNTS: Mapping[str, int] = MappingProxyType({"exaone4": 64, "gemma2": 46, "gemma3": 62})
# Keys that tie blocks to their index, and the largest value that doesn't.
FIXED_KEYS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "nextn_predict_layers": (0, "its last blocks predict several tokens"),
        "interleave_moe_layer_step": (1, "every few blocks have experts, by their index"),
        "moe_every_n_layers": (0, "every few blocks have experts, by their index"),
        "full_attention_interval": (0, STATE),
        "attention.recurrent_layers": (0, STATE),
        "rescale_every_n_layers": (0, "values are rescaled every few blocks"),
        "attention.shared_kv_layers": (0, SHARED),
        "attention.indexer.types": (0, "blocks use what earlier ones have looked up"),
        "attention.compress_ratios": (0, "blocks compress their cache by their index"),
        "hash_layer_count": (0, "its first blocks choose experts by hash"),
        "n_deepstack_layers": (0, "images enter at given blocks"),
        "deepstack_mapping": (0, "images enter at given blocks"),
        "ple.layers": (0, "some blocks have embeddings of their own"),
        "num_loops": (1, "blocks run several times"),
        "hrm.layers_per_stack": (0, "blocks run several times"),
        "attn_res.block_size": (0, "blocks read what earlier ones have kept"),
        "target_layers": (0, "it is a draft head of another model"),
        "decoder_block_count": (0, "it has an encoder and a decoder"),
    }
)


def without_blocks(model: RawModel, skipped: Sequence[int]) -> tuple[list[Entry], list[RawTensor]]:
    """Entries and tensors of `model` without the blocks `skipped`; those that stay are numbered anew.

    Raises RequestError if the architecture can't lose blocks, ModelFileError if the file's blocks are not one each.
    """
    header = model.header
    _require_movable(header, len(skipped))
    kept = [block for block in range(header.block_count) if block not in set(skipped)]
    windows = _windows(header, kept)
    entries = [_for_blocks(header, one, kept, skipped) for one in model.entries if one.key not in windows]
    entries += windows.values()
    numbers = {block: number for number, block in enumerate(kept)}
    tensors = []
    for tensor in model.tensors:
        match = BLOCK.fullmatch(tensor.name)
        if match is None:
            tensors.append(tensor)
        elif int(match["index"]) in numbers:
            tensors.append(replace(tensor, name=f"blk.{numbers[int(match['index'])]}.{match['rest']}"))
    return entries, tensors


def require_blocks(model: RawModel) -> None:
    """Raise ModelFileError unless every block from 0 to the last has tensors named blk.N, and no other has."""
    found = {int(match["index"]) for tensor in model.tensors if (match := BLOCK.fullmatch(tensor.name))}
    count = model.header.block_count
    if found != set(range(count)):
        raise ModelFileError(
            f"{model.header.path} says it has {count} blocks, but its tensors are of {len(found)} others",
            hint="only models whose tensors are named blk.0 to blk.N can be pruned",
        )


def _require_movable(header: Header, skipped: int) -> None:
    architecture, metadata = header.architecture, header.metadata
    why = FIXED_ARCHITECTURES.get(architecture, STATE if header.recurrent else "")
    if SPECIAL_COUNTS.get(architecture) in (header.block_count, header.block_count - skipped):
        why = BY_COUNT
    if architecture == "minicpm" and "minicpm.residual_scale" not in metadata:
        why = BY_COUNT
    for key, (limit, reason) in FIXED_KEYS.items():
        value = metadata.get(f"{architecture}.{key}", 0)
        if not isinstance(value, int) or value > limit:
            why = reason
    if "general.tensor_extra.name" in metadata:
        why = "its metadata lists tensors by name"
    pattern = metadata.get(f"{architecture}.{WINDOWS}")
    if isinstance(pattern, int) and architecture not in WINDOW_PERIODS:
        why = "its sliding windows repeat in an unknown order"
    if why:
        raise RequestError(
            f"blocks of {header.path} ({architecture}) can't be left out: {why}", hint="draft with another source"
        )


def _windows(header: Header, kept: Sequence[int]) -> dict[str, Entry]:
    """Which blocks have a sliding window, listed where the engine would go by a period: pruned, there is none."""
    key = f"{header.architecture}.{WINDOWS}"
    value = header.metadata.get(key)
    if header.architecture not in WINDOW_PERIODS or isinstance(value, tuple):
        return {}
    period, first = WINDOW_PERIODS[header.architecture]
    period = value if isinstance(value, int) else period
    everything = 0 if first else period - 1
    return {key: Entry.array(key, BOOL, [period == 0 or block % period != everything for block in kept])}


def _for_blocks(header: Header, entry: Entry, kept: Sequence[int], skipped: Sequence[int]) -> Entry:
    """The entry for the blocks that stay."""
    architecture, key = header.architecture, entry.key
    name = key.removeprefix(f"{architecture}.")
    if name == "block_count":
        return Entry.scalar(key, UINT32, len(kept))
    value = header.metadata.get(key)
    if name == DENSE_LEAD and isinstance(value, int):
        return Entry.scalar(key, UINT32, value - sum(block < value for block in skipped))
    if not isinstance(value, tuple) or (name == key and key not in PER_BLOCK_ANYWHERE):
        return entry
    if name in PER_BLOCK or key in PER_BLOCK_ANYWHERE:
        if len(value) != header.block_count:
            raise ModelFileError(
                f"{header.path} has {len(value)} values of {key} for {header.block_count} blocks",
                hint="fetch the file again",
            )
        return entry.picked(kept)
    if len(value) == header.block_count and name not in NOT_PER_BLOCK:
        raise RequestError(
            f"blocks of {header.path} can't be left out: {key} may have one value per block",
            hint="draft with another source",
        )
    return entry
