"""Amounts and durations as people write and read them."""

from __future__ import annotations

import pytest

from floe.cli.amounts import AmountError, duration, parse, show

ETHER = 10**18


@pytest.mark.parametrize(
    ("text", "token", "wei"),
    [
        ("1.5", "ETH", 15 * 10**17),
        ("1.5 ether", "ETH", 15 * 10**17),
        ("1.5ETH", "ETH", 15 * 10**17),
        ("  2  ", "ETH", 2 * ETHER),
        (".25", "floETH", ETHER // 4),
        ("3 floETH", "floETH", 3 * ETHER),
        ("3 rfloeth", "rfloETH", 3 * ETHER),
        ("20 gwei", "ETH", 20 * 10**9),
        ("0.5 gwei", "ETH", 5 * 10**8),
        ("7 wei", "ETH", 7),
        ("0.000000000000000001", "ETH", 1),
        ("1.0000000000000000000", "ETH", ETHER),
        ("79228162514.264337593543950335", "ETH", 2**96 - 1),
        ("all", "ETH", None),
        ("ALL", "floETH", None),
    ],
)
def test_parse__an_amount__to_the_wei(text, token, wei):
    assert parse(text, token) == wei


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no amount"),
        ("one", "is no amount"),
        ("1,5", "is no amount"),
        ("1_000", "is no amount"),
        ("-1", "is no amount"),
        ("1e3", "is no amount"),
        ("1.", "is no amount"),
        ("0x10", "is no amount"),
        ("1 2", "is no amount"),
        ("nan", "is no amount"),
        ("all of it", "is no amount"),
        ("1 floETH", "is no amount of ETH: that is counted in ether, gwei or wei"),
        ("1 mether", "is no amount of ETH"),
        ("0", "more than 0"),
        ("0.0 gwei", "more than 0"),
        ("0.0000000000000000001", "finer than 1 wei"),
        ("1.5 wei", "finer than 1 wei"),
        ("79228162514.264337593543950336", "more than there can ever be"),
    ],
)
def test_parse__no_amount__says_what_is_wrong(text, reason):
    with pytest.raises(AmountError, match=reason):
        parse(text, "ETH")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.000000 ETH"),
        (1, "0.000000000000000001 ETH"),
        (10**12 - 1, "0.000000999999999999 ETH"),
        (10**12, "0.000001 ETH"),
        (1_234_567_999_999_999_999_999_999, "1,234,567.999999 ETH"),
        (2**96 - 1, "79,228,162,514.264337 ETH"),
    ],
)
def test_show__amount__never_more_than_there_is(amount, text):
    assert show(amount, "ETH") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3_599, "59 min"),
        (3_600, "1 h"),
        (3_660, "1 h 1 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
        (100 * 86_400, "100 d"),
    ],
)
def test_duration__seconds__two_largest_units(seconds, text):
    assert duration(seconds) == text
