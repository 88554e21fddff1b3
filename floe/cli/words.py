"""What went wrong, in one line that says what to do: reasons of the contracts, of nodes and of accounts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from ape.exceptions import (
    AccountsError,
    ApeException,
    ContractLogicError,
    OutOfGasError,
    ProviderError,
    SignatureError,
    TransactionNotFoundError,
)
from eth_abi.abi import decode
from requests import RequestException
from web3.exceptions import ContractLogicError as Web3ContractLogicError
from web3.exceptions import Web3Exception

from floe.build import BuildError
from floe.deploy.record import RecordError

ERROR_SELECTOR = bytes.fromhex("08c379a0")
"""Of Error(string), which every revert reason is encoded as."""

REASONS = {
    "allowance: too low": "the contract may not move that much of yours: approve it first",
    "balance: too low": "the account holds less than that",
    "claim: lengths differ": "as many hints as tickets must be given",
    "claim: nothing filled": "nothing of the ticket has been paid yet: `ape floe tickets` says when it may be",
    "claim: too little gas": "the transaction had too little gas for its claims: claim fewer tickets at once",
    "claim: wrong hint": "the claim's hint is out of date: run the command again",
    "deposit: loss pending": "deposits are closed while a known loss of more than 1 % is not settled: "
    "`ape floe status` shows it",
    "deposit: over the ceiling": "the pool takes no more than its ceiling: `ape floe status` shows how much is left",
    "deposit: paused": "deposits are paused: `ape floe status` says until when",
    "deposit: value differs": "the ETH sent is not the amount that was named",
    "deposit: zero shares": "that is too little for a single share: stake more",
    "erc20: burn amount exceeds balance": "the account holds less than that",
    "erc20: insufficient allowance": "the contract may not move that much of yours: approve it first",
    "ether: send failed": "the receiver does not take ETH: name another with --receiver",
    "erc20: transfer amount exceeds balance": "the account holds less than that",
    "gauge: total over 120 bits": "the gauge cannot count that much",
    "gauge: zero amount": "an amount of 0 cannot be staked",
    "instant: over the limit": "not that much can leave at once now: `ape floe status` shows the limit; "
    "without --instant it goes through the queue",
    "instant: zero assets": "after the fee nothing would be left: leave with more, or through the queue",
    "pair: first deposit": "who comes first brings both sides, each worth at least 0.05 ETH, and neither more than "
    "three times the other",
    "pair: fresh liquidity": "liquidity cannot leave in the block that made it: try again in the next one",
    "pair: no value": "the pair has no liquidity, or floETH is worth nothing now",
    "pair: too far from balance": "the pair would be left with almost nothing on one side: trade less",
    "pair: too small": "that is too little for the pair to count",
    "pool: no value": "shares are worth nothing now: everything outside is counted as lost",
    "pool: total over 96 bits": "the pool cannot count that much",
    "receiver: refused": "the receiver cannot be nobody, nor one of the protocol's contracts",
    "request: zero shares": "an exit needs an amount",
    "reserve: exits paused": "exits are paused: `ape floe status` says until when",
    "reserve: first deposit": "who comes first brings at least 0.01 ETH",
    "reserve: loss pending": "the reserve takes no ETH while a known loss is not settled: `ape floe status` shows it",
    "reserve: no value": "the reserve's shares are worth nothing now",
    "reserve: nothing to buy": "that is too little for the reserve to pay for",
    "reserve: too little ETH": "the reserve does not have that much ETH now: `ape floe quote` shows what it has",
    "reward: not known": "the gauge does not pay that token",
    "slippage: too few assets": "it would pay less than the least you accept",
    "slippage: too few shares": "it would give fewer shares than the least you accept",
    "slippage: too little liquidity": "it would give less liquidity than the least you accept",
    "ticket: does not exist": "there is no such ticket, or it has been claimed in full",
    "token: transfer failed": "a token could not be moved",
    "wrap: zero shares": "an amount of 0 cannot be wrapped or unwrapped",
}
"""What contracts refuse with -> what that means to a person. Of all functions that the commands here call."""


class RefusedError(Exception):
    """A contract would refuse a call; the text is its reason."""


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what web3 raises for a call that reverts into RefusedError."""
    try:
        yield
    except Web3ContractLogicError as error:
        data = bytes.fromhex(error.data.removeprefix("0x")) if isinstance(error.data, str) else b""
        if data[:4] == ERROR_SELECTOR:
            raise RefusedError(decode(["string"], data[4:])[0]) from None
        raise RefusedError(error.message or "no reason given") from None


def in_words(reason: str) -> str:
    """Say what a contract's reason means; the reason itself stands behind it, for whoever looks it up."""
    known = REASONS.get(reason)
    return f"{known} ({reason})" if known else f"the contract refuses: {reason}"


@contextmanager
def plain() -> Iterator[None]:
    """Turn what can be expected to go wrong into click.ClickException with one line, and no stack trace."""
    try:
        yield
    except (RecordError, BuildError) as error:
        raise click.ClickException(str(error)) from None
    except OutOfGasError:
        raise click.ClickException("the transaction ran out of gas") from None
    except RefusedError as error:
        raise click.ClickException(in_words(str(error))) from None
    except ContractLogicError as error:
        raise click.ClickException(f"the transaction failed: {error.revert_message or 'no reason given'}") from None
    except SignatureError:
        raise click.ClickException("the account did not sign: nothing was sent") from None
    except TransactionNotFoundError as error:
        raise click.ClickException(
            f"the transaction was sent and is not in a block yet; look for it later: {_line(error)}"
        ) from None
    except AccountsError as error:
        raise click.ClickException(f"account: {_line(error)}") from None
    except (ProviderError, ConnectionError, RequestException) as error:
        raise click.ClickException(f"the node does not answer any more: {_line(error)}") from None
    except (ApeException, Web3Exception) as error:
        raise click.ClickException(_line(error)) from None


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
