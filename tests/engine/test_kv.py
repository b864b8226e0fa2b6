from hypothesis import given
from hypothesis import strategies as st

from slipstream.engine.kv import KVLedger

TOKENS = st.lists(st.integers(0, 3), max_size=12)


@given(held=TOKENS, wanted=TOKENS)
def test_common_is_the_longest_shared_prefix_short_of_the_last_token(held: list[int], wanted: list[int]) -> None:
    ledger = KVLedger(2)
    ledger.extend(1, held)
    common = ledger.common(1, wanted)
    assert held[:common] == wanted[:common]
    assert common <= max(len(wanted) - 1, 0)
    longer = common + 1
    assert longer > len(wanted) - 1 or held[:longer] != wanted[:longer]
    assert ledger.length(0) == 0


def test_cut_forgets_the_end_only() -> None:
    ledger = KVLedger(1)
    ledger.extend(0, (1, 2, 3))
    ledger.cut(0, 1)
    ledger.extend(0, [9])
    assert ledger.tokens(0) == [1, 9]
    assert ledger.tokens(0, 1) == [9]
