"""Methods, models and hosts by name, from what commands really store."""

from typing import Any

import pytest

from slipstream.bench.cell import Arm, Run
from slipstream.bench.report.naming import Method, flatten, host_of, method_of, model_of


@pytest.mark.parametrize(
    "configuration, method, name",
    [
        ({"settings": {"model": "m.gguf"}}, Method(("auto",)), "auto"),
        ({"settings": {"draft": "off"}}, Method(), "plain"),
        ({"settings": {"draft": ["suffix", "draft_model"]}}, Method(("draft_model", "suffix")), "draft model + suffix"),
        ({"draft": "off", "experts": 1}, Method(experts=1), "1 expert"),
        ({"draft": "suffix,prompt_lookup"}, Method(("prompt_lookup", "suffix")), "prompt lookup + suffix"),
        ({"peer": "llama-server", "setting": "ngram 8"}, Method(peer="llama-server ngram 8"), "llama-server ngram 8"),
        ({"peer": "slipstream", "setting": "stack", "settings": {"draft": "auto"}}, Method(("auto",)), "auto"),
        ({"peer": "slipstream"}, Method(), "plain"),
        ({}, Method(), "plain"),
    ],
)
def test_methods(configuration: dict[str, Any], method: Method, name: str) -> None:
    found = method_of(Arm(name="a", configuration=configuration))
    assert found == method and found.name == name


@pytest.mark.parametrize(
    "arm, plan, models, name",
    [
        ({"settings": {"model": "/x/One.Q8_0.gguf"}}, {"model": "Two.gguf"}, {}, "One.Q8_0"),
        ({}, {"model": "/x/Two.gguf"}, {"Three.gguf": "f"}, "Two"),
        ({}, {}, {"Three.gguf": "f"}, "Three"),
        ({}, {}, {"Three.gguf": "f", "Four.gguf": "e"}, "unknown"),
    ],
)
def test_models(arm: dict[str, Any], plan: dict[str, Any], models: dict[str, str], name: str) -> None:
    made = Arm(name="a", configuration=arm)
    assert (
        model_of(Run(id="r", kind="k", started=0, arms=(made,), plan=plan, attestation={"models": models}), "a") == name
    )


def test_hosts() -> None:
    def host(**record: Any) -> str:
        return host_of(Run(id="r", kind="k", started=0, attestation=record))

    assert host(cpu="A CPU", cores=2) == "A CPU, 2 cores" and host(cpu="A CPU", cores=1) == "A CPU, 1 core"
    assert host(cpu="A CPU") == "A CPU" and host() == "unknown"


def test_nested_facts_are_lines() -> None:
    found = flatten({"a": {"b": 1.5, "c": None}, "list": ["x", 2], "nodes": [{"cpus": 4}], "on": True})
    assert found == {"a.b": "1.5", "a.c": "not known", "list": "x, 2", "nodes.0.cpus": "4", "on": "yes"}
