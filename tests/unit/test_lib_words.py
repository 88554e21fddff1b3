"""contracts/lib/words.vy: fields inside words, and nothing beside them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evm import Contract, Evm, reverts

U40, U96 = 2**40 - 1, 2**96 - 1
WORD = st.integers(0, 2**256 - 1)
HALF = st.integers(0, U96)


@pytest.fixture(scope="module")
def words() -> Contract:
    return Evm().deploy("MockWords")


@given(word=WORD)
def test_low_and_high__any_word__are_its_two_lowest_u96(words: Contract, word: int):
    assert words.low(word) == word % 2**96
    assert words.high(word) == word // 2**96 % 2**96
    assert words.time(word) == word // 2**192 % 2**40


@given(word=WORD, low=HALF, high=HALF)
def test_with_pair__any_values__replaces_both_and_keeps_the_rest(words: Contract, word: int, low: int, high: int):
    changed = words.with_pair(word, low, high)
    assert (words.low(changed), words.high(changed)) == (low, high)
    assert changed >> 192 == word >> 192


@given(word=WORD, low=HALF)
def test_with_low__any_value__replaces_it_and_keeps_the_rest(words: Contract, word: int, low: int):
    changed = words.with_low(word, low)
    assert words.low(changed) == low
    assert changed >> 96 == word >> 96


@given(word=WORD, at=st.integers(0, U40))
def test_with_time__any_time__replaces_it_and_keeps_the_rest(words: Contract, word: int, at: int):
    changed = words.with_time(word, at)
    assert words.time(changed) == at
    assert changed % 2**192 == word % 2**192
    assert changed >> 232 == word >> 232


@pytest.mark.parametrize("word", [0, 2**256 - 1])
@pytest.mark.parametrize(("low", "high"), [(0, 0), (U96, U96), (U96, 0), (0, U96)])
def test_with_pair__largest_values__fit(words: Contract, word: int, low: int, high: int):
    assert words.with_pair(word, low, high) == (word >> 192 << 192) | high << 96 | low


@pytest.mark.parametrize(("low", "high"), [(U96 + 1, 0), (0, U96 + 1), (2**256 - 1, 0), (0, 2**256 - 1), (2**192, 0)])
def test_with_pair__value_over_96_bits__reverts(words: Contract, low: int, high: int):
    with reverts("pool: total over 96 bits"):
        words.with_pair(0, low, high)


@pytest.mark.parametrize("low", [U96 + 1, 2**192, 2**256 - 1])
def test_with_low__value_over_96_bits__reverts(words: Contract, low: int):
    with reverts("pool: total over 96 bits"):
        words.with_low(0, low)
