"""What contracts refuse with, in words."""

from __future__ import annotations

import re

import click
import pytest
from ape.exceptions import AccountsError, ProviderError, SignatureError
from eth_abi.abi import encode
from requests import ConnectionError as NoConnectionError
from web3.exceptions import ContractLogicError

from floe.build import ROOT
from floe.cli.words import REASONS, RefusedError, in_words, plain, refusals
from floe.deploy.record import RecordError

CALLED = {
    "pool/FloePool.vy": ("deposit",),
    "pool/instant_exit.vy": ("redeem",),
    "pool/RebasingToken.vy": ("wrap", "unwrap"),
    "pool/WithdrawalQueue.vy": ("request", "claim", "claim_many"),
    "liquidity/StablePair.vy": ("sell", "add_liquidity", "remove_liquidity", "remove_one"),
    "liquidity/ExitReserve.vy": ("sell",),
    "liquidity/reserve_shares.vy": ("deposit", "redeem"),
    "liquidity/Gauge.vy": ("stake", "withdraw", "claim"),
}
"""Functions that the commands send transactions to, by the file of contracts/ that documents them."""
SNEKMATE = {
    "erc20: burn amount exceeds balance",
    "erc20: insufficient allowance",
    "erc20: transfer amount exceeds balance",
}
"""Reasons of snekmate's modules."""
NOBODY = {"erc20: approve from the zero address", "erc20: approve to the zero address"}
"""Reasons of calls that nobody sends: from the zero address."""


def reasons_of(file: str, function: str) -> set[str]:
    """Return the reasons that the documentation of a function names."""
    source = (ROOT / "contracts" / file).read_text(encoding="utf-8")
    [documented] = re.findall(rf'^def {function}\(.*?:\n    """(.*?)"""', source, re.MULTILINE | re.DOTALL)
    found = set(re.findall(r'"([a-zA-Z0-9 -]+: [^"]+)"', documented))
    assert found, function
    return found


def test_reasons__of_every_function_that_is_called__are_explained():
    for file, names in CALLED.items():
        for name in names:
            assert reasons_of(file, name) - NOBODY - REASONS.keys() == set(), name


def test_reasons__explained__exist():
    declared = set(
        re.findall(r'String\[32\]\) = "([^"]+)"', (ROOT / "contracts/lib/reasons.vy").read_text(encoding="utf-8"))
    )
    assert REASONS.keys() - declared == SNEKMATE


def test_in_words__reason__stands_behind_its_explanation():
    assert in_words("deposit: paused") == ("deposits are paused: `ape floe status` says until when (deposit: paused)")
    assert in_words("vault: on fire") == "the contract refuses: vault: on fire"


def test_refusals__reason_with_colons__whole():
    data = "0x08c379a0" + encode(["string"], ["slippage: too few shares"]).hex()
    with pytest.raises(RefusedError, match=r"^slippage: too few shares$"), refusals():
        raise ContractLogicError("execution reverted: something else", data=data)


@pytest.mark.parametrize("data", [None, "0x", {"some": "node"}, "0x12345678"])
def test_refusals__no_reason__what_the_node_says(data):
    with pytest.raises(RefusedError, match=r"^execution reverted$"), refusals():
        raise ContractLogicError("execution reverted", data=data)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RecordError("Floe is not deployed on hoodi"), "Floe is not deployed on hoodi"),
        (RefusedError("request: zero shares"), "an exit needs an amount (request: zero shares)"),
        (SignatureError("no"), "the account did not sign: nothing was sent"),
        (AccountsError("wrong\nin two lines"), "account: wrong"),
        (ProviderError("gone"), "the node does not answer any more: gone"),
        (NoConnectionError("gone"), "the node does not answer any more: gone"),
    ],
)
def test_plain__what_can_be_expected__one_line(error, line):
    with pytest.raises(click.ClickException) as caught, plain():
        raise error
    assert caught.value.message == line


def test_plain__a_mistake_of_ours__is_not_hidden():
    with pytest.raises(ZeroDivisionError), plain():
        raise ZeroDivisionError
