"""Amounts as people write them, and as people read them: "1.5", "1.5 ether", "20 gwei", "all"."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from typing import Any

import click

ALL = "all"
UNITS = {"": 18, "ether": 18, "eth": 18, "gwei": 9, "wei": 0}
"""Decimals of what an amount may be counted in; shares have 18 as well."""

_FORM = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)")
_SHOWN = 6
"""Decimals that people see."""


class AmountError(ValueError):
    """A text that is no amount; the message says what one looks like."""


def parse(text: str, token: str) -> int | None:
    """Read an amount of a token ("ETH", "floETH" or "rfloETH") in units of 1e-18; None stands for "all".

    Raises AmountError for what is not a positive decimal number, is finer than 1e-18, or names another token.
    """
    written = " ".join(text.lower().split())
    if written == ALL:
        return None
    found = _FORM.fullmatch(written)
    if found is None:
        raise AmountError(f'{text!r} is no amount: write it as 1.5, "1.5 ether", "20 gwei" or all')
    number, unit = found.groups()
    if unit not in UNITS | {token.lower(): 18}:
        raise AmountError(f"{text!r} is no amount of {token}: that is counted in ether, gwei or wei")
    decimals = UNITS.get(unit, 18)
    whole, _, part = number.partition(".")
    part = part.rstrip("0")
    if len(part) > decimals:
        raise AmountError(f"{text!r} is finer than 1 wei (1e-18 {token})")
    exact = int(whole or "0") * int(10**decimals) + int(part.ljust(decimals, "0") or "0")
    if exact == 0:
        raise AmountError("the amount must be more than 0")
    if exact >= 2**96:
        raise AmountError(f"{text!r} is more than there can ever be")
    return exact


def argument(token: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator for a command's AMOUNT; it may consist of two words, as in `stake 1.5 ether`."""
    return click.argument(
        "amount", nargs=-1, required=True, callback=lambda _, __, words: _read(" ".join(words), token)
    )


def least(option: str, token: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator for an option with a least amount of a token."""
    return named(option, token, f"Do nothing for less {token} than this.")


def named(
    option: str, token: str, help_text: str, *, required: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator for an option with an amount of a token, which cannot be "all"."""

    def read(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
        if text is not None and (amount := _read(text, token)) is None:
            raise click.BadParameter("name an amount")
        return None if text is None else amount

    return click.option(option, metavar="AMOUNT", callback=read, required=required, help=help_text)


def _read(text: str, token: str) -> int | None:
    try:
        return parse(text, token)
    except AmountError as error:
        raise click.BadParameter(str(error)) from None


def show(amount: int, token: str) -> str:
    """Write an amount (units of 1e-18) for people: six decimals, rounded down; what is smaller in full."""
    places = _SHOWN if amount == 0 or amount >= 10 ** (18 - _SHOWN) else 18
    rounded = Decimal(amount).scaleb(-18).quantize(Decimal(1).scaleb(-places), ROUND_DOWN)
    written = f"{rounded:,f}"
    return f"{written.rstrip('0') if places > _SHOWN else written} {token}"


def duration(seconds: int) -> str:
    """Write a duration for people, in its two largest units."""
    if seconds < 60:
        return f"{max(seconds, 0)} s"
    minutes, hours, days = seconds // 60, seconds // 3_600, seconds // 86_400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"
