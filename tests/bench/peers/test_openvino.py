"""OpenVINO GenAI is told what we mean; a stand-in for the package writes down what it was told."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slipstream.bench.peers import openvino
from slipstream.bench.peers.ports import Offer


class Pipeline:
    """Says 4, then 5 and 6 at once."""

    made: "list[Pipeline]" = []  # noqa: RUF012

    def __init__(self, model: str, device: str, **properties: Any) -> None:
        self.told = (model, device, properties)
        self.made.append(self)

    def generate(self, prompt: Any, config: Any, streamer: Any) -> Any:
        self.prompt, self.config = prompt, dict(vars(config))
        assert streamer.write(4) == streamer.write([5, 6]) == "running"
        streamer.end()
        return SimpleNamespace(perf_metrics=SimpleNamespace(get_throughput=lambda: SimpleNamespace(mean=12.5)))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    genai = SimpleNamespace(
        LLMPipeline=Pipeline,
        GenerationConfig=SimpleNamespace,
        StreamerBase=object,
        StreamingStatus=SimpleNamespace(RUNNING="running"),
    )
    monkeypatch.setitem(sys.modules, "openvino_genai", genai)
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Tensor=lambda array: array.tolist()))
    monkeypatch.setattr(Pipeline, "made", [])


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("options", "properties", "configured"),
    [
        ({}, {}, {}),
        ({"lookup": 3, "length": 8}, {"prompt_lookup": True}, {"num_assistant_tokens": 8, "max_ngram_size": 3}),
    ],
)
def test_what_it_is_told(options: dict[str, int], properties: dict[str, Any], configured: dict[str, Any]) -> None:
    generate = openvino.open_pipeline(
        Path("model.gguf"), draft_model=Path("draft.gguf"), threads=3, context_length=256, ends=frozenset({2, 7}),
        **options,
    )  # fmt: skip
    taken: list[list[int]] = []
    assert generate((8, 9), 16, lambda tokens: taken.append(list(tokens))) == {"engine_rate": 12.5}
    (pipeline,) = Pipeline.made
    assert pipeline.told == ("model.gguf", "CPU", {"INFERENCE_NUM_THREADS": 3, **properties})
    assert pipeline.prompt == [[8, 9]]
    always = {"do_sample": False, "stop_token_ids": {2, 7}, "max_new_tokens": 16}
    assert pipeline.config == {**always, **configured}
    assert taken == [[4], [5, 6]]


def test_a_draft_model_makes_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "find_spec", lambda name: object())
    assert [one.name for one in openvino.settings(Offer(lengths=(8,)))] == ["plain", "prompt lookup 8"]
    names = [one.name for one in openvino.settings(Offer(lengths=(8,), draft_model=Path("draft.gguf")))]
    assert names == ["plain", "prompt lookup 8"]
