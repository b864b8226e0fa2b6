"""A reply as a cell: decoding is what came after the first tokens."""

import math

from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.peers.ports import Reply
from slipstream.bench.peers.timing import cell_of

PIECES = st.lists(st.tuples(st.floats(0.001, 10.0), st.integers(1, 9)), min_size=2, max_size=20)


def reply(pieces: list[tuple[float, int]]) -> Reply:
    """Tokens that arrive in pieces of (seconds since the one before, number)."""
    arrivals, at, count = [], 0.0, 0
    for seconds, tokens in pieces:
        at, count = at + seconds, count + tokens
        arrivals.append((at, count))
    return Reply(tokens=tuple(range(count)), arrivals=tuple(arrivals), engine_rate=9.0, started=5.0)


@given(PIECES)
def test_what_came_first_is_not_counted(pieces: list[tuple[float, int]]) -> None:
    cell = cell_of("p", "edit", 2, 7, reply(pieces))
    assert cell.status == "ok" and (cell.prompt, cell.task, cell.repetition) == ("p", "edit", 2)
    assert cell.tokens == sum(count for _, count in pieces[1:])
    assert math.isclose(cell.seconds, sum(seconds for seconds, _ in pieces[1:]), rel_tol=1e-6, abs_tol=1e-9)
    assert (cell.prefill_tokens, cell.prefill_seconds) == (7, pieces[0][0])
    assert len(cell.token_ids) == cell.figures["answered"] == cell.tokens + pieces[0][1]
    assert (cell.engine_rate, cell.started, cell.warm) == (9.0, 5.0, True)


def test_an_answer_in_one_piece_has_no_rate() -> None:
    cell = cell_of("p", "edit", 0, 7, reply([(1.0, 20)]))
    assert (cell.status, cell.reason, cell.rate) == ("failed", "its 20 tokens came at once: no rate", 0.0)


def test_no_answer() -> None:
    cell = cell_of("p", "edit", 0, 7, Reply(tokens=(), arrivals=()))
    assert (cell.status, cell.reason) == ("failed", "it answered nothing")
