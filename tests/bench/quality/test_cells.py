"""Marks and texts as cells of the result store."""

from pathlib import Path
from types import SimpleNamespace

from slipstream.bench.cell import Cell
from slipstream.bench.quality.cells import MarkedArm, mark_of, text_cell
from slipstream.bench.quality.divergence import Divergence
from slipstream.bench.quality.marks import Mark
from slipstream.bench.quality.perplexity import Perplexity
from slipstream.bench.workload import Prompt
from slipstream.core.stats import Stats

PROMPT = Prompt("m/0", "gsm8k", "What is 2 and 2?", reference="4")


def measured(outcome: Mark, tmp_path: Path) -> Cell:
    """The cell of a whole answer with this mark."""
    stats = Stats(prompt_tokens=9, tokens=2, decode_ms=500.0, prefill_ms=100.0)
    said = SimpleNamespace(text="It is 4.", tokens=(1, 2), finish="stop", stats=stats)
    session = SimpleNamespace(
        header=SimpleNamespace(has_chat_template=True), generate=lambda prompt, raw, **given: said
    )
    return MarkedArm(session, lambda prompt, answer, scratch: outcome, 64, tmp_path, lambda: 7.0).measure(PROMPT, 0)


def test_an_answer_with_its_mark(tmp_path: Path) -> None:
    cell = measured(Mark("passed"), tmp_path)
    assert (cell.prompt, cell.task, cell.rate, cell.prefill_tokens, cell.started) == ("m/0", "gsm8k", 4.0, 9, 7.0)
    assert (cell.answer, cell.token_ids, cell.figures["score"]) == ("It is 4.", (1, 2), 1.0)
    assert mark_of(cell) == Mark("passed")
    wrong = measured(Mark("failed", "5 instead of 4"), tmp_path)
    assert wrong.figures["score"] == 0.0 and mark_of(wrong) == Mark("failed", "5 instead of 4")


def test_what_can_not_be_marked_has_no_score(tmp_path: Path) -> None:
    cell = measured(Mark("refused", "this system can't confine a program"), tmp_path)
    assert "score" not in cell.figures and mark_of(cell).outcome == "refused"
    failed = Cell(arm="a", prompt="m/0", task="math", repetition=0, status="failed", reason="the context is full")
    assert mark_of(failed) == Mark("refused", "the context is full")


def test_a_text_is_one_cell() -> None:
    full, reduced = Perplexity(8.0, 0.5, 100), Perplexity(9.0, 0.6, 100)
    cell = text_cell("book.txt", reduced, 512, 1000, 7.0, 2.0)
    assert (cell.prompt, cell.task, cell.prefill_tokens, cell.prefill_seconds) == ("book.txt", "text", 1000, 2.0)
    assert cell.figures == {"perplexity": 9.0, "perplexity_error": 0.6, "scored": 100, "window": 512}
    apart = text_cell(
        "book.txt", Divergence(0.1, 0.01, 0.5, 2.0, 0.9, 0.85, 0.95, 100, full, reduced), 512, 1, 7.0, 2.0
    )
    assert (apart.figures["divergence"], apart.figures["perplexity"], apart.figures["agreement"]) == (0.1, 9.0, 0.9)
    assert apart.figures["details"]["full"]["value"] == 8.0
