"""Verdicts on pairs of made token tables, and what rules a pair of files out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from slipstream.core.errors import ContextOverflow, ModelFileError, RequestError
from slipstream.core.skip import SkipSet
from slipstream.models.gguf import Header, read_header
from slipstream.models.pair import PairVerdict, compare, shared_controls
from slipstream.models.pair_check import check_pair
from slipstream.models.pruned import write_pruned
from slipstream.models.vocabulary import CONTROL, NORMAL, UNUSED, Vocabulary, read_vocabulary
from tests.engine import tiny_gguf
from tests.models.made import METADATA, TENSORS, made, write

WORDS = (*"!#$%&'()*+-,", *(f"word{number}" for number in range(186)))
MARKS = ("<|begin|>", "<|end|>")
TEXTS = WORDS + MARKS
BEGIN, END = len(WORDS), len(WORDS) + 1


def table(texts: Sequence[str] = TEXTS, **changes: object) -> Vocabulary:
    """A sound table: its last two tokens begin and end a text."""
    types = tuple(CONTROL if text.startswith("<|") else UNUSED if "PAD" in text else NORMAL for text in texts)
    special = {"bos": texts.index(MARKS[0]), "eos": texts.index(MARKS[1])}
    made_ = Vocabulary("m.gguf", "gpt2", "qwen2", tuple(texts), types, special, add_begin=False)
    return replace(made_, **changes)  # type: ignore[arg-type]


def kinds(target: Vocabulary, draft: Vocabulary) -> tuple[str, str]:
    return compare(target, draft).kind, compare(draft, target).kind


def test_same() -> None:
    verdict = compare(table(), table())
    assert verdict == PairVerdict("same", "all 200 tokens have the same text", shared=200)
    assert verdict.usable


@pytest.mark.parametrize("who", ["target", "draft"])
def test_a_comma_that_begins_texts_is_explained(who: str) -> None:
    comma = table(special={"bos": WORDS.index(","), "eos": END})
    verdict = compare(comma, table()) if who == "target" else compare(table(), comma)
    assert verdict.kind == "same"
    quirk, *_ = verdict.notes
    assert quirk.startswith(f"quirk: the {who}'s begin token is an ordinary one, 11 (','):")
    assert any("the begin tokens differ" in note and "harmless" in note for note in verdict.notes)


def test_a_missing_begin_token_is_explained() -> None:
    verdict = compare(table(), table(special={"eos": END}))
    assert verdict.kind == "same"
    assert len(verdict.notes) == 1
    # What llama.cpp takes then is where the comma comes from.
    assert "names no begin token, so llama.cpp takes token 11 (',')" in verdict.notes[0]
    assert "harmless, because the draft model is fed the target's own tokens" in verdict.notes[0]


def test_a_missing_end_token_is_the_targets_own_trouble() -> None:
    begin_only = table(special={"bos": BEGIN})
    assert compare(begin_only, table()).notes[0].endswith("it may not stop where it should, with or without drafts")
    assert compare(table(), begin_only).notes[0].endswith("the target alone decides when a text ends")


def test_other_marks_are_explained() -> None:
    draft = table(special={"bos": END, "eos": 10**6}, add_begin=True, pre="llama-bpe")
    draft = replace(draft, types=(CONTROL, *draft.types[1:]))
    notes = "\n".join(compare(table(), draft).notes)
    for said in (
        "end token 1000000 is outside its table",
        "the begin tokens differ, 198 ('<|begin|>') and 199 ('<|end|>')",
        "only the draft asks for a begin token",
        "split by 'qwen2' in the target, 'llama-bpe' in the draft",
        "1 tokens with the same text are of another kind",
    ):
        assert said in notes
    assert compare(table(), draft).kind == "same"


@pytest.mark.parametrize("filler", ["[PAD{}]", "<|reserved_special_token_{}|>", "<|tool_{}|>", ""])
def test_padded_by_128(filler: str) -> None:
    padding = tuple(filler.format(number) for number in range(128))
    longer = table(TEXTS + padding)
    assert kinds(table(), longer) == kinds(longer, table()) == ("padded", "padded")
    verdict = compare(longer, table())
    assert verdict.reason == "equal tables: the target has 128 more at its end, all of them fillers or control tokens"
    assert (verdict.shared, verdict.differing_count, len(verdict.differing)) == (200, 128, 8)
    assert verdict.differing[0] == (200, padding[0], None)
    assert verdict.map is not None
    assert verdict.map.to_draft.tolist() == [*range(200), *[-1] * 128]
    assert verdict.map.to_target.tolist() == [*range(200)]
    assert verdict.map.draft_covered == 1.0


def test_fillers_of_other_names() -> None:
    ours, theirs = (table(TEXTS + tuple(f"<|{name}_{n}|>" for n in range(9))) for name in ("extra", "unused"))
    assert kinds(ours, theirs) == ("padded", "padded")
    assert "9 differ" in compare(ours, theirs).reason


def test_real_words_past_the_end_are_no_padding() -> None:
    verdict = compare(table((*TEXTS, "more")), table())
    assert (verdict.kind, verdict.differing) == ("partial", ((200, "more", None),))


def test_a_tool_token_in_a_reserved_place() -> None:
    reserved = (*TEXTS, "<|reserved_1|>")
    verdict = compare(table((*TEXTS, "<|tool_call|>")), table(reserved))
    assert (verdict.kind, verdict.differing_count) == ("partial", 1)
    assert verdict.map is not None and verdict.map.to_draft[-1] == -1


def test_an_inserted_token_shifts_all_ids() -> None:
    verdict = compare(table(), table(("inserted", *TEXTS)))
    assert verdict.kind == "partial"
    assert verdict.differing_count == 201
    assert verdict.shared == 200
    assert verdict.differing[0] == (0, "!", "inserted")
    assert verdict.map is not None
    assert verdict.map.to_draft.tolist() == list(range(1, 201))
    assert verdict.map.to_target.tolist() == [-1, *range(200)]
    assert verdict.map.target_covered == 1.0
    assert verdict.map.draft_covered == pytest.approx(200 / 201)


def test_equal_texts_map_to_the_same_id_first() -> None:
    doubled = (*TEXTS, "word5", "other")
    verdict = compare(table(doubled), table((*TEXTS, "word5", "another")))
    assert verdict.map is not None
    assert verdict.map.to_draft[200] == 200
    assert verdict.map.to_draft[TEXTS.index("word5")] == TEXTS.index("word5")


@pytest.mark.parametrize(("pre", "kind"), [("qwen2", "partial"), ("smollm", "foreign")])
def test_the_rule_that_splits_text_decides_in_between(pre: str, kind: str) -> None:
    others = (*(f"other{number}" for number in range(60)), *TEXTS[60:])
    verdict = compare(table(), table(others, pre=pre))
    assert verdict.kind == kind
    assert "70.0%" in verdict.reason
    assert (verdict.map is None) is (kind == "foreign")


def test_foreign() -> None:
    other = compare(table(), table(tokenizer="llama"))
    assert (other.kind, other.map, other.notes) == ("foreign", None, ())
    assert "'gpt2', the draft's 'llama'" in other.reason
    few = compare(table(), table((*(f"other{number}" for number in range(198)), *MARKS)))
    assert few.kind == "foreign" and few.usable


def test_controls_that_a_foreign_pair_shares() -> None:
    draft = table((MARKS[1], "<|else|>", MARKS[0], "word0"), tokenizer="llama")
    assert shared_controls(table(), draft) == {BEGIN: (2,), END: (0,)}


@pytest.mark.parametrize("who", ["target", "draft"])
def test_broken(tmp_path: Path, who: str) -> None:
    metadata = {key: value for key, value in METADATA.items() if "tokens" not in key}
    broken = read_vocabulary(write(tmp_path / "none.gguf", made(metadata)))
    verdict = compare(broken, table()) if who == "target" else compare(table(), broken)
    assert verdict.kind == "broken" and not verdict.usable
    assert verdict.reason == f"the {who} none.gguf can't take part: it has no list of tokens"


def pair(tmp_path: Path, **changes: object) -> tuple[Header, Header]:
    """A target of 400 bytes of weights, and a draft of 128 with `changes` in its metadata."""
    target = read_header(write(tmp_path / "target.gguf", made()))
    metadata = dict(METADATA) | {key.replace("__", "."): value for key, value in changes.items()}
    draft = read_header(write(tmp_path / "draft.gguf", made(metadata, TENSORS[:1])))
    return target, draft


def test_a_pair_that_may_be_tried(tmp_path: Path) -> None:
    assert check_pair(*pair(tmp_path), 128) == ()


def test_the_same_file(tmp_path: Path) -> None:
    target, _ = pair(tmp_path)
    link = tmp_path / "link.gguf"
    link.symlink_to(target.path)
    copy = write(tmp_path / "copy.gguf", target.path.read_bytes())
    for path in (target.path, link, copy):
        with pytest.raises(RequestError, match="are the same model"):
            check_pair(target, read_header(path), 128)


def test_a_larger_draft(tmp_path: Path) -> None:
    target, draft = pair(tmp_path)
    with pytest.raises(RequestError, match="larger than its target"):
        check_pair(draft, target, 128)


def test_a_draft_trained_for_less(tmp_path: Path) -> None:
    target, draft = pair(tmp_path, llama__context_length=64)
    with pytest.raises(ContextOverflow, match="trained for 64 tokens, but the target is opened for 128") as caught:
        check_pair(target, draft, 128)
    assert "at most 64" in caught.value.hint
    assert check_pair(target, draft, 64) == ()


def test_a_draft_head(tmp_path: Path) -> None:
    target, draft = pair(tmp_path, medusa__heads=4)
    with pytest.raises(RequestError, match="is Medusa heads"):
        check_pair(target, draft, 128)
    with pytest.raises(RequestError, match=r"draft\.gguf can't be a target"):
        check_pair(draft, target, 128)


def test_own_prediction_layers_are_noted(tmp_path: Path) -> None:
    _, draft = pair(tmp_path)
    tensors = (*TENSORS, ("blk.2.nextn.eh_proj.weight", (32,), 0, 128))
    target = read_header(write(tmp_path / "target.gguf", made(tensors=tensors)))
    assert "next-token-prediction layer of its own" in check_pair(target, draft, 128)[0]


def test_a_self_draft_whose_source_changed(tmp_path: Path) -> None:
    path = tiny_gguf.dense(tmp_path / "target.gguf")
    draft = read_header(
        write_pruned(path, tmp_path / "draft.gguf", SkipSet(attention=(1, 2), feed_forward=(1,)), method="test")
    )
    assert "without 3 of its sub-layers" in check_pair(read_header(path), draft, 512)[0]
    tiny_gguf.dense(path, template="retrained")
    with pytest.raises(ModelFileError, match="another version"):
        check_pair(read_header(path), draft, 512)


def test_a_recurrent_draft_is_noted(tmp_path: Path) -> None:
    target = read_header(tiny_gguf.dense(tmp_path / "dense.gguf"))
    draft = read_header(tiny_gguf.recurrent(tmp_path / "recurrent.gguf"))
    target = replace(target, weights_bytes=max(target.weights_bytes, draft.weights_bytes))
    assert "running state" in check_pair(target, draft, 512)[0]
