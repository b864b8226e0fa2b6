"""Bridges between vocabularies: what a draft model reads and what its drafts become, on tokenizers of every grain."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.core.ports import Tokenizer
from slipstream.drafters.alignment import MOST, Encoder, GrowingTokens, window_start
from slipstream.drafters.bridge import Bridge, Identity
from slipstream.drafters.mapped_vocabulary import MappedVocabulary
from slipstream.drafters.translation import OPEN_SPACE, OPEN_WORD, Translation
from slipstream.engine.tokenizer import LlamaTokenizer, open_tokenizer
from tests.conftest import find_model

END, START = 0, 1
WORDS = ["th", "he", "the", " the", " t", "in", "ing", "an", " an", "and", "  ", "\n\n", ");", "é", "中文", " 中"]


class Grain(Protocol):
    def __call__(self, data: bytes) -> list[bytes]: ...


def letters(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def pairs(data: bytes) -> list[bytes]:
    return [data[at : at + 2] for at in range(0, len(data), 2)]


def longest(data: bytes) -> list[bytes]:
    """The longest known word at each place, else a byte."""
    pieces, at = [], 0
    known = sorted((word.encode() for word in WORDS), key=len, reverse=True)
    while at < len(data):
        pieces.append(next((word for word in known if data.startswith(word, at)), data[at : at + 1]))
        at += len(pieces[-1])
    return pieces


def merged(data: bytes) -> list[bytes]:
    """Byte pair encoding as GPT-2 does it: split at spaces before words, then merge by rank."""
    known = [word.encode() for word in WORDS]
    pieces: list[bytes] = []
    for word in re.findall(r" ?[^\s\w]+| ?\w+|\s+(?!\S)|\s+", data.decode()):
        parts = letters(word.encode())
        while True:
            joined = [parts[at] + parts[at + 1] for at in range(len(parts) - 1)]
            ranks = [known.index(both) if both in known else len(known) for both in joined]
            if min(ranks, default=len(known)) == len(known):
                break
            at = ranks.index(min(ranks))
            parts[at : at + 2] = [joined[at]]
        pieces += parts
    return pieces


@dataclass
class FakeTokenizer:
    """Cuts text by `grain`; its first tokens are the control tokens <end> and <start>, then all bytes and whatever
    texts come up. `adds_space` and `lowers` change what they read, as some real ones do. Counts the bytes it reads."""

    grain: Grain
    ends: frozenset[int] = frozenset({END})
    adds_space: bool = False
    lowers: bool = False
    read: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pieces = [b"", b"", *(bytes([byte]) for byte in range(256))]
        self._tokens = {piece: token for token, piece in enumerate(self._pieces) if piece}

    @property
    def end_tokens(self) -> frozenset[int]:
        return self.ends

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        self.read.append(len(text.encode()))
        text = " " * (self.adds_space and bool(text)) + (text.lower() if self.lowers else text)
        tokens = []
        for piece in self.grain(text.encode()):
            if piece not in self._tokens:
                self._tokens[piece] = len(self._pieces)
                self._pieces.append(piece)
            tokens.append(self._tokens[piece])
        return tokens

    def piece(self, token: int) -> bytes:
        return self._pieces[token]


def text_of(tokenizer: Tokenizer, tokens: Sequence[int]) -> bytes:
    return b"".join(map(tokenizer.piece, tokens))


def parts(items: Sequence[int], seed: int) -> Iterator[Sequence[int]]:
    random, at = Random(seed), 0
    while at < len(items):
        size = random.randint(1, 6)
        yield items[at : at + size]
        at += size


def complete(data: bytes) -> str:
    """Text without the bytes of an incomplete character at its end."""
    return data.decode("utf-8", "ignore")


GRAINS = [letters, pairs, longest, merged]
TEXTS = st.lists(
    st.sampled_from([*WORDS, " ", "\n", "\t", ".", "(", "7", "b", "x", "字", "👍🏽", "a b", "the then\n"]), max_size=60
).map("".join)
ASCII = TEXTS.map(lambda text: text.encode("ascii", "ignore").decode())


@given(TEXTS, st.integers(), st.sampled_from(GRAINS), st.sampled_from([letters, longest, merged]))
def test_the_context_is_the_tokenization_of_the_whole_text(text: str, seed: int, coarse: Grain, fine: Grain) -> None:
    target, draft = FakeTokenizer(coarse), FakeTokenizer(fine)
    bridge = Translation(target, draft)
    bridge.begin([])
    said: list[int] = []
    for run in parts(target.encode(text), seed):
        before = list(bridge.context)
        kept = bridge.commit(run)
        said += run
        assert list(bridge.context[:kept]) == before[:kept]
        assert list(bridge.context) == draft.encode(complete(text_of(target, said)))


@given(ASCII, st.integers())
def test_pairs_keep_their_parity(text: str, seed: int) -> None:
    target, draft = FakeTokenizer(letters), FakeTokenizer(pairs)
    bridge = Translation(target, draft)
    bridge.begin([])
    for run in parts(target.encode(text), seed):
        bridge.commit(run)
    assert list(bridge.context) == draft.encode(text)


@given(TEXTS, st.integers(), st.sampled_from(GRAINS))
def test_a_vocabulary_that_adds_a_space_adds_one_where_there_is_none(text: str, seed: int, grain: Grain) -> None:
    target, draft = FakeTokenizer(longest), FakeTokenizer(grain, adds_space=True)
    bridge = Translation(target, draft)
    bridge.begin([])
    for run in parts(target.encode(text), seed):
        bridge.commit(run)
    own = text.removeprefix(" ")
    assert text_of(draft, bridge.context) == (b" " + own.encode() if text else b"")
    if grain is not pairs and own:
        assert list(bridge.context) == draft.encode(own)


@given(TEXTS, st.integers(), st.sampled_from([letters, longest, merged]), st.sampled_from(GRAINS), st.booleans())
def test_a_right_draft_becomes_what_the_target_will_say(
    text: str, seed: int, coarse: Grain, fine: Grain, adds_space: bool
) -> None:
    target, draft = FakeTokenizer(coarse, adds_space=adds_space), FakeTokenizer(fine)
    whole = target.encode(text)
    committed = Random(seed).randint(min(1, len(whole)), len(whole))
    bridge = Translation(target, draft)
    bridge.begin([])
    for run in parts(whole[:committed], seed):
        bridge.commit(run)
    known = complete(text_of(target, whole[:committed])).encode()
    rest = text_of(target, whole)[len(known) :].decode()
    drafted = draft.encode(rest)
    tokens, chances = bridge.translate([*drafted, END], [0.5] * (len(drafted) + 1))
    assert list(tokens) == [*whole[committed:], END]
    assert len(chances) == len(tokens)


@given(
    st.lists(st.integers(0, 257), max_size=60),
    st.lists(st.integers(0, 257), max_size=12),
    st.sampled_from(GRAINS),
    st.sampled_from(GRAINS),
    st.tuples(st.booleans(), st.booleans()),
    st.integers(),
)
def test_nothing_raises_on_any_tokens(
    said: list[int], drafted: list[int], coarse: Grain, fine: Grain, odd: tuple[bool, bool], seed: int
) -> None:
    target, draft = (FakeTokenizer(grain, frozenset({END}), *odd) for grain in (coarse, fine))
    table = [token if token % 3 else -1 for token in range(200)]
    bridges: list[Bridge] = [
        Identity(),
        Translation(target, draft, {START: (START,)}, opening=(START,)),
        MappedVocabulary(target, draft, table, table),
    ]
    for bridge in bridges:
        bridge.begin(said[:20])
        for run in parts(said[20:], seed):
            before = list(bridge.context)
            kept = bridge.commit(run)
            assert list(bridge.context[:kept]) == before[:kept]
            tokens, chances = bridge.translate(drafted, [0.9] * len(drafted))
            assert len(tokens) == len(chances)
            assert all(0 <= chance <= 1 for chance in chances)
        bridge.end()
        assert not bridge.context


@pytest.mark.parametrize("text", ["the thing and ", "字", "👍🏽", "x", "THE Ä", ");\n\n"])
def test_a_commit_reads_a_bounded_number_of_bytes(text: str) -> None:
    target, draft = FakeTokenizer(letters), FakeTokenizer(longest, lowers=True)
    tokens = target.encode(text * 2000)[:8000]
    bridge = Translation(target, draft)
    bridge.begin([])
    draft.read.clear()
    for at in range(0, 8000, 4):
        bridge.commit(tokens[at : at + 4])
    assert len(draft.read) <= 2000
    assert max(draft.read) <= MOST + 4 + 3
    target.read.clear()
    bridge.translate(draft.encode(" the"), [0.5] * 4)
    assert sum(target.read) <= MOST + 4 + 3


def test_half_a_character_waits_and_the_draft_has_to_begin_with_it() -> None:
    target, draft = FakeTokenizer(letters), FakeTokenizer(letters)
    bridge = Translation(target, draft)
    sign = target.encode("字")
    bridge.begin([*target.encode("a"), *sign[:2]])
    assert text_of(draft, bridge.context) == b"a"
    assert bridge.translate(draft.encode("字b"), [0.5] * 4)[0] == (sign[2], *target.encode("b"))
    assert bridge.translate(draft.encode("中b"), [0.5] * 4) == ((), ())
    assert bridge.translate(draft.encode("b"), [0.5]) == ((), ())
    assert bridge.translate(sign[:1], [0.5]) == ((), ())
    bridge.commit(target.encode("b"))
    assert text_of(draft, bridge.context).decode() == "a\ufffdb"


def test_the_last_token_of_an_open_draft_is_discounted() -> None:
    target, draft = FakeTokenizer(longest), FakeTokenizer(letters)
    bridge = Translation(target, draft)
    bridge.begin(target.encode("in"))
    tokens, chances = bridge.translate(draft.encode(" the"), [0.5, 0.5, 0.5, 1.0])
    assert tokens == tuple(target.encode(" the"))
    assert chances == (0.125 * OPEN_WORD,)
    assert bridge.translate(draft.encode("b "), [0.9, 0.8])[1] == (0.9, 0.8 * OPEN_SPACE)
    assert bridge.translate([*draft.encode("bx"), END], [0.9, 0.8, 0.7])[1] == (0.9, 0.8, 0.7)
    assert bridge.translate([*draft.encode("bx"), START], [0.9, 0.8, 0.7])[1] == (0.9, 0.8)


def test_of_several_target_tokens_in_one_draft_token_the_first_bears_the_doubt() -> None:
    target, draft = FakeTokenizer(letters), FakeTokenizer(longest)
    bridge = Translation(target, draft)
    bridge.begin(target.encode("in"))
    chances = bridge.translate([*draft.encode(" theb"), END], [0.6, 0.5, 0.9])[1]
    assert chances == (0.6, 1.0, 1.0, 1.0, 0.5, 0.9)


def test_a_token_across_the_border_is_not_taken_back() -> None:
    target, draft = FakeTokenizer(longest), FakeTokenizer(letters)
    bridge = Translation(target, draft)
    bridge.begin([*target.encode("x th")])
    assert text_of(target, bridge.translate(draft.encode("ebx"), [0.5] * 3)[0]) == b"ebx"


def test_end_tokens_stand_for_each_other_where_it_is_clear_which() -> None:
    draft = FakeTokenizer(letters)
    for ends, end, wanted in (({END}, None, (END,)), ({END, START}, None, ()), ({END, START}, START, (START,))):
        bridge = Translation(FakeTokenizer(letters, frozenset(ends)), draft, end=end)
        bridge.begin([])
        assert bridge.translate([END, 100], [0.5, 0.5]) == (wanted, (0.5,) * len(wanted))


def test_control_tokens_are_mapped_or_break_the_line() -> None:
    target, draft = FakeTokenizer(longest), FakeTokenizer(merged)
    bridge = Translation(target, draft, {START: (START, START)}, opening=(START,))
    bridge.begin([START, *target.encode("the"), END, END, *target.encode("and")])
    assert list(bridge.context) == [START, START, *draft.encode("the\nand")]
    bridge.begin([END, *target.encode("the"), START, *target.encode("and")])
    assert list(bridge.context) == [START, *draft.encode("the"), START, START, *draft.encode("and")]
    kept = bridge.commit([*target.encode(" an"), END, *target.encode("d")])
    assert list(bridge.context) == [START, *draft.encode("the"), START, START, *draft.encode("and an\nd")]
    assert kept == len(draft.encode("the")) + 3 + len(draft.encode("and"))


def test_mapped_tokens_go_one_to_one_and_others_through_text() -> None:
    target, draft = FakeTokenizer(longest), FakeTokenizer(letters)
    word, sign = target.encode("the")[0], target.encode("字")
    a, b = target.encode("bx")
    to_draft = [-1] * 256
    to_draft[a] = to_draft[END] = 7
    to_target = [-1] * 256
    to_target[7] = a
    bridge = MappedVocabulary(target, draft, to_draft, to_target)
    bridge.begin([a, word, b])
    assert bridge.context == [7, *draft.encode("thex")]
    assert bridge.translate([7, 7, 8, 7], [0.9, 0.8, 0.7, 0.6]) == ((a, a), (0.9, 0.8))
    assert [bridge.target_token(token) for token in (7, 8, 999)] == [a, None, None]
    assert bridge.commit(sign[:2]) == len(bridge.context)
    assert bridge.translate([7], [0.9]) == ((), ())
    bridge.commit([sign[2], START, a])
    assert bridge.context == [7, *draft.encode("thex字"), 7]
    bridge.commit([sign[0], a])
    assert bridge.context == [7, *draft.encode("thex字"), 7, *draft.encode("\ufffd"), 7]


def test_the_same_vocabulary_needs_no_translation() -> None:
    bridge = Identity()
    bridge.begin([1, 2])
    assert bridge.commit([3]) == 2
    assert bridge.context == [1, 2, 3]
    assert bridge.translate([4, 5], [0.5, 0.4]) == ((4, 5), (0.5, 0.4))
    assert bridge.target_token(4) == 4


def test_the_window_starts_at_a_word_or_else_as_far_back_as_allowed() -> None:
    words = [b"the", b" the", b" then", b"ing", b" and", b"the"]
    assert window_start(words, least=8, most=96) == 2
    assert window_start(words, least=3, most=96) == 4
    assert window_start([b"the"] * 100, least=8, most=30) == 90
    assert window_start([b"the", None, b"the"], least=8) == 2
    assert window_start([b"x", "字".encode()[:2], "字".encode()[2:]], least=1) == 0
    assert window_start([b"x" * 200], least=1) == 1


def test_a_tokenizer_that_changes_text_is_left_behind_in_blocks() -> None:
    tokenizer = FakeTokenizer(longest, lowers=True)
    grown = GrowingTokens(Encoder(tokenizer))
    for _ in range(100):
        grown.append("and THE ")
    assert text_of(tokenizer, grown.tokens) == b"and the " * 100


PROSE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
CODE = Path(__file__).read_text()[:6000]
CHINESE = "机器学习是人工智能的一个分支。它研究的是、如何让计算机从数据中学习规律。2024年3月15日、价格为1234.50元。" * 8
EMOJI = "Great 👍🏽 work 🎉🎉! Family 👨‍👩‍👧‍👦 flag 🇩🇪 heart ❤️ naïve café – “quoted” … Ω≈ç√ \u200b x\n\n\t" * 8  # noqa: RUF001
SAMPLES = {"code": CODE, "prose": PROSE, "chinese": CHINESE, "emoji": EMOJI}
MODELS = ("Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m.Q4_K_M.gguf")


@contextmanager
def opened(path: Path) -> Iterator[LlamaTokenizer]:
    tokenizer = open_tokenizer(path)
    try:
        yield tokenizer
    finally:
        tokenizer.close()


@dataclass
class Trip:
    """What a walk through a text found: contexts equal to the whole's tokenization, drafted tokens that the target
    says, and seconds."""

    contexts: list[bool] = field(default_factory=list)
    inner: list[bool] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    after_space: list[bool] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    translations: list[float] = field(default_factory=list)


def walk(target: LlamaTokenizer, draft: LlamaTokenizer, text: str, trip: Trip) -> None:
    """Commit a text in rounds; every third one, draft its true continuation, cut off after some tokens."""
    bridge = Translation(target, draft)
    bridge.begin([])
    whole, random, at = target.encode(text), Random(3), 0
    for count, run in enumerate(parts(whole, seed=5)):
        started = time.perf_counter()
        bridge.commit(run)
        trip.commits.append(time.perf_counter() - started)
        at += len(run)
        if count % 3:
            continue
        known = complete(text_of(target, whole[:at]))
        trip.contexts.append(list(bridge.context) == draft.encode(known))
        rest = complete(text_of(target, whole[: at + 40])[len(known.encode()) :])
        drafted = draft.encode(rest)[: random.randint(3, 8)]
        started = time.perf_counter()
        tokens, _ = bridge.translate(drafted, [0.9] * len(drafted))
        trip.translations.append(time.perf_counter() - started)
        right = [mine == its for mine, its in zip(tokens, whole[at:], strict=False)]
        trip.inner += right[:-1]
        if right and all(right[:-1]) and at + len(tokens) < len(whole):
            ends = trip.after_space if target.piece(tokens[-1])[-1:].isspace() else trip.last
            ends.append(right[-1])


def test_the_embedded_vocabulary_translates_to_itself(smollm2_path: Path) -> None:
    with opened(smollm2_path) as tokenizer:
        for text in SAMPLES.values():
            trip = Trip()
            walk(tokenizer, tokenizer, text[:1500], trip)
            assert all(trip.contexts)
            assert sum(trip.inner) >= 0.99 * len(trip.inner)


@pytest.mark.real
@pytest.mark.parametrize("target", MODELS)
@pytest.mark.parametrize("draft", MODELS)
def test_real_vocabularies_translate_to_each_other(target: str, draft: str) -> None:
    trip = Trip()
    with opened(find_model(target)) as first, opened(find_model(draft)) as second:
        for text in SAMPLES.values():
            walk(first, second, text, trip)
    print(
        f"\n{target[:8]} <- {draft[:8]}: last {sum(trip.last)}/{len(trip.last)}, "
        f"after space {sum(trip.after_space)}/{len(trip.after_space)}, inner {sum(trip.inner)}/{len(trip.inner)}, "
        f"microseconds: commit {median(trip.commits) * 1e6:.0f}, translate {median(trip.translations) * 1e6:.0f}"
    )
    assert all(trip.contexts)
    assert sum(trip.inner) >= 0.99 * len(trip.inner)
    assert median(trip.commits) < 1e-3
    assert median(trip.translations) < 1e-3
