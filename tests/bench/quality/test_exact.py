"""Numbers are read in whatever way they are written."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.quality.exact import number, score
from slipstream.bench.workload import Prompt

SCRATCH = Path()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", 18),
        ("She makes 9 * 2 = $18 every day at the market.", 18),
        ("The answer is **18**.", 18),
        ("__18__", 18),
        ("so 18 dollars", 18),
        ("18.00", 18),
        ("$1,234,567.50", Fraction("1234567.5")),
        ("1,234", 1234),
        ("12,34", 34),
        ("1\u202f234\u00a0567", 1234567),
        ("1'234'567", 1234567),
        (r"1{,}234", 1234),
        (r"\$12\,500", 12500),
        ("-7", -7),
        ("\u22127 degrees", -7),
        ("-$7", -7),
        ("$-7", -7),
        ("10-7", 7),
        ("(3)-5", 5),
        ("x = -5", -5),
        ("- 5 apples", 5),
        ("+5", 5),
        (".5", Fraction(1, 2)),
        ("-.5", Fraction(-1, 2)),
        ("2.5e3 m", 2500),
        ("5e-1", Fraction(1, 2)),
        ("3/4", Fraction(3, 4)),
        ("-3/4", Fraction(-3, 4)),
        ("2 1/2 cups", Fraction(5, 2)),
        ("½", Fraction(1, 2)),
        ("2½", Fraction(5, 2)),
        (r"\frac{3}{4}", Fraction(3, 4)),
        (r"-\dfrac{ 3 }{ 4 }", Fraction(-3, 4)),
        (r"2\frac12", Fraction(5, 2)),
        ("on 3/4/2020", 2020),
        ("50 %", 50),
        (r"50\%", 50),
        ("12:30", 30),
        ("5kg", 5),
        ("Reason: 2 + 2 = 4 #### 5", 5),
        ("#### 1,000\n", 1000),
        ("#### none, though 3 was said", 3),
        (r"Of 7 it is \boxed{42}, since 6 * 8 = 48", 42),
        (r"\boxed{\frac{1}{2}} or 9", Fraction(1, 2)),
        (r"\boxed{x^{2} = 16 \text{ metres}}", 16),
        (r"first \boxed{1}, no: \boxed{2}", 2),
        (r"\boxed{none} so 8", 8),
        (r"\boxed{12", 12),
        ("1/0 of 6", 6),
        ("Answer:18", 18),
    ],
)
def test_the_last_number(text: str, value: int | Fraction) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["", "eighteen", "H2O and x2", "v1", "1/0", "9" * 5000])
def test_no_number(text: str) -> None:
    assert number(text) is None


@given(st.fractions(), st.sampled_from(["{}", "It is {}.", "**{}**", "\\boxed{{{}}}", "3 then\n#### {}"]))
def test_every_fraction_comes_back(value: Fraction, form: str) -> None:
    if len(str(value)) < 50:
        assert number(form.format(value)) == value


@given(st.integers(-(10**15), 10**15), st.booleans())
def test_every_integer_comes_back(value: int, grouped: bool) -> None:
    assert number(f"so {value:,} euros" if grouped else f"so {value} euros") == value


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    number(text)


def test_score_says_what_was_wrong() -> None:
    prompt = Prompt("a", "math", "?", "She has 3 * 14 = 42 left. #### 42")
    assert score(prompt, "That makes $42.00.", SCRATCH).outcome == "passed"
    wrong = score(prompt, "That makes 41 1/2.", SCRATCH)
    assert (wrong.outcome, wrong.reason) == ("failed", "83/2 instead of 42")
    assert score(prompt, "I don't know.", SCRATCH).reason == "no number in the answer"
    assert score(Prompt("a", "math", "?", "many"), "3", SCRATCH).outcome == "refused"
