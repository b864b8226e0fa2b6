"""OpenVINO GenAI, which reads the same GGUF file: plain, and with its prompt lookup.

It takes draft models too, but none that is a GGUF file (2026.4: "could not open the file").

It computes and keeps KV in precisions of its own, so its answers may part from llama.cpp's: the table says how far.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.bench.peers.arm import child_arm
from slipstream.bench.peers.child import Generate, Take
from slipstream.bench.peers.ports import MISSING, Offer, Setting

NAME = "openvino"
MODULE = "openvino_genai"
DEVICE = "CPU"
MATCH = 3


def settings(offer: Offer) -> list[Setting]:
    """One that isn't installed is a setting with that problem."""
    if find_spec(MODULE) is None:
        return [Setting(NAME, "plain", problem=MISSING)]
    made = [_setting("plain", {})]
    made += [_setting(f"prompt lookup {n}", {"lookup": MATCH, "length": n}) for n in offer.lengths]
    return made


def _setting(name: str, options: dict[str, Any]) -> Setting:
    return Setting(NAME, name, options, partial(child_arm, NAME, options))


def open_pipeline(
    model: Path,
    *,
    draft_model: Path | None,
    threads: int,
    context_length: int,
    ends: frozenset[int],
    lookup: int = 0,
    length: int = 0,
) -> Generate:
    """Generates with drafts of `length` tokens, looked up by matches of up to `lookup` tokens, if there is a length.
    Its context grows as needed, and it has no use for a draft model."""
    genai, openvino = import_module(MODULE), import_module("openvino")
    properties: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads}
    if length:
        properties["prompt_lookup"] = True
    pipeline = genai.LLMPipeline(str(model), DEVICE, **properties)
    config = genai.GenerationConfig()
    config.do_sample = False
    config.stop_token_ids = set(ends)
    if length:
        config.num_assistant_tokens, config.max_ngram_size = length, lookup

    def generate(tokens: Sequence[int], limit: int, take: Take) -> Mapping[str, Any]:
        config.max_new_tokens = limit
        prompt = openvino.Tensor(np.array([tokens], dtype=np.int64))
        result = pipeline.generate(prompt, config, _streamer(genai, take))
        return {"engine_rate": float(result.perf_metrics.get_throughput().mean)}

    return generate


def _streamer(genai: Any, take: Take) -> Any:
    class Streamer(genai.StreamerBase):  # type: ignore[misc]
        def write(self, token: int | Sequence[int]) -> Any:
            take([token] if isinstance(token, int) else list(token))
            return genai.StreamingStatus.RUNNING

        def end(self) -> None: ...

    return Streamer()
