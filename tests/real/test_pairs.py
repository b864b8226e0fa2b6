"""Real pairs of models, of one family and of foreign ones: left out by default, run with -m real."""

from pathlib import Path

import pytest
from tests.conftest import find_model

import slipstream
from slipstream.bench.arms import logit_gap
from slipstream.bench.compare import first_difference
from slipstream.bench.workload import built_in
from slipstream.core.skip import SkipSet
from slipstream.models.gguf import read_header
from slipstream.models.pair import compare
from slipstream.models.pruned import write_pruned
from slipstream.models.vocabulary import read_vocabulary
from slipstream.session import Completion, Session

TARGET = "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf"
SMALL = "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf"
FOREIGN = ("SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m.Q4_K_M.gguf")
EDIT = next(prompt.text for prompt in built_in() if prompt.task == "edit")
NEAR_TIE = 0.5


def same_but_for_near_ties(session: Session, plain: Completion, ours: Completion) -> None:
    at = first_difference(plain.tokens, ours.tokens)
    if at is not None and at < min(len(plain.tokens), len(ours.tokens)):
        prefix = [*session.request(EDIT).prompt, *plain.tokens[:at]]
        assert logit_gap(session.target, prefix, plain.tokens[at], ours.tokens[at]) < NEAR_TIE


@pytest.mark.real
@pytest.mark.parametrize("draft", [SMALL, *FOREIGN])
def test_a_second_model_drafts_and_changes_nothing(draft: str) -> None:
    options = {"drafters": ("draft_model",), "draft_model": find_model(draft)}
    with slipstream.open(find_model(TARGET), context_length=2048, memory=False, **options) as session:
        from slipstream.control.fixed import FixedPolicy

        session.loop.policy = FixedPolicy(("draft_model",), 4)  # asked whether or not it pays here
        plain = session.generate(EDIT, draft="off", max_tokens=96)
        ours = session.generate(EDIT, max_tokens=96)
        found = ours.stats.sources["draft_model"]
        assert found.accepted > 0.3 * found.drafted
        same_but_for_near_ties(session, plain, ours)


@pytest.mark.real
@pytest.mark.parametrize(("draft", "kind"), [(SMALL, "same"), *((name, "foreign") for name in FOREIGN)])
def test_verdicts(draft: str, kind: str) -> None:
    assert compare(read_vocabulary(find_model(TARGET)), read_vocabulary(find_model(draft))).kind == kind


@pytest.mark.real
@pytest.mark.parametrize(
    ("skip", "least"),
    [(SkipSet(), 0.98), (SkipSet.of_blocks((12,)), 0.75), (SkipSet((12,), (17,)), 0.75)],
    ids=["nothing", "one block", "two sub-layers"],
)
def test_a_self_draft_agrees_the_more_the_less_it_skips(skip: SkipSet, least: float, tmp_path: Path) -> None:
    path = write_pruned(find_model(TARGET), tmp_path / "pruned.gguf", skip, method="test")
    assert read_header(path).architecture == ("deci" if skip.blocks != skip.attention else "qwen2")
    options = {"drafters": ("self_draft",), "self_draft": path}
    with slipstream.open(find_model(TARGET), context_length=2048, memory=False, **options) as session:
        from slipstream.control.fixed import FixedPolicy

        session.loop.policy = FixedPolicy(("self_draft",), 4)
        plain = session.generate(EDIT, draft="off", max_tokens=64)
        ours = session.generate(EDIT, max_tokens=64)
        found = ours.stats.sources["self_draft"]
        assert found.accepted >= least * found.drafted
        same_but_for_near_ties(session, plain, ours)
