"""Other engines as they are, where they are installed: left out by default, run with -m real."""

from pathlib import Path

import pytest
from tests.conftest import find_model

from slipstream.bench.doubts import Limits, judged
from slipstream.bench.peers import catalog, llama_server
from slipstream.bench.peers.arm import Watched, answered
from slipstream.bench.peers.ports import Job, Offer, Question, Setting
from slipstream.bench.schedule import Block
from slipstream.bench.workload import Prompt, built_in
from slipstream.engine.chat import open_chat_template
from slipstream.engine.model import LlamaModel
from slipstream.engine.tokenizer import LlamaTokenizer

PROMPTS = [prompt for prompt in built_in() if prompt.task == "edit"][:2]
MODEL, DRAFT = "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf", "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf"


def job_of(path: Path, folder: Path, draft: Path | None) -> tuple[Job, LlamaTokenizer]:
    model = LlamaModel.load_vocabulary(path)
    tokenizer = LlamaTokenizer(model)
    template = open_chat_template(model, tokenizer)

    def question(prompt: Prompt) -> Question:
        text = template.render([{"role": "user", "content": prompt.text}])
        return Question(prompt, tuple(tokenizer.encode_prompt(text, special=True)))

    return Job(
        model=path,
        questions={prompt.id: question(prompt) for prompt in PROMPTS},
        warm_up=tuple(tokenizer.encode_prompt("A river shapes the valley that it flows through.")),
        ends=tokenizer.end_tokens,
        max_tokens=64,
        threads=2,
        context=1024,
        scratch=folder,
        draft_model=draft,
    ), tokenizer


def settings_of(peer: str, draft: Path | None) -> list[Setting]:
    found = catalog.settings(Offer(lengths=(8,), draft_model=draft))
    mine = [one for one in found if one.peer == peer]
    if any(one.absent for one in mine):
        pytest.skip(f"{peer} is not installed")
    return mine


@pytest.mark.real
@pytest.mark.parametrize("peer", catalog.names())
def test_every_setting_answers_and_agrees_with_itself(peer: str, tmp_path: Path) -> None:
    draft = find_model(DRAFT)
    job, tokenizer = job_of(find_model(MODEL), tmp_path, draft)
    plain: dict[str, tuple[int, ...]] = {}
    for setting in settings_of(peer, draft):
        assert setting.open is not None, setting.problem
        arm = Watched(setting.open(job), tokenizer.decode, job.ends, job.max_tokens)
        arm.start(Block(0, setting.arm, 0, tuple(job.questions)))
        try:
            for prompt in PROMPTS:
                cell = judged(arm.measure(prompt, 0), Limits())
                assert cell.status == "ok", f"{setting.arm}: {cell.reason}"
                tokens = answered(cell.token_ids, job.ends, job.max_tokens)
                # Batch widths round differently, so a near-tie may flip; the beginning stays.
                assert plain.setdefault(prompt.id, tokens)[:8] == tokens[:8], setting.arm
        finally:
            arm.stop()


@pytest.mark.real
def test_the_installed_server_lists_its_types() -> None:
    binary = llama_server.installed()
    if binary is None:
        pytest.skip("llama-server is not installed")
    assert {"draft-simple", "ngram-simple", "ngram-map-k", "ngram-mod"} <= set(llama_server.probe(binary).types)
