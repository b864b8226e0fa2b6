from hypothesis import given
from hypothesis import strategies as st

from slipstream.decode.text import TextStream


def shown(stop: tuple[str, ...], pieces: list[bytes]) -> tuple[str, bool]:
    stream = TextStream(stop)
    text = "".join(stream.push(piece) for piece in pieces)
    return text + stream.finish(), stream.stopped


def test_a_character_split_over_tokens_comes_out_whole() -> None:
    stream = TextStream()
    assert stream.push(b"\xf0\x9f") == ""
    assert stream.push(b"\x8f\x81!") == "🏁!"


def test_a_stop_string_split_over_tokens_is_never_shown() -> None:
    assert shown(("END",), [b"one E", b"N", b"D two"]) == ("one ", True)


def test_what_only_looked_like_a_stop_string_is_shown() -> None:
    assert shown(("END",), [b"one E", b"N", b"O"]) == ("one ENO", False)


def test_a_broken_last_character_is_replaced_not_lost() -> None:
    assert shown((), [b"a\xf0\x9f"]) == ("a\ufffd", False)


@given(st.text(alphabet="abé🏁", max_size=40), st.text(alphabet="abé🏁", min_size=1, max_size=3), st.data())
def test_any_split_shows_the_text_before_the_stop_string(text: str, stop: str, data: st.DataObject) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert shown((stop,), pieces) == (text.split(stop)[0], stop in text)
