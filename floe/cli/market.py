"""The contracts of the market: what they answer, and how they are paid."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import click
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import encode_hex

from floe.cli.amounts import show
from floe.cli.session import Call, Floe, Wallet
from floe.cli.words import RefusedError, refusals
from floe.deploy.find import contracts
from floe.market.live import Live, PairState, PoolState, ReserveState, State
from floe.model.exit_reserve import Books, ReserveParameters
from floe.model.stable_pair import Fees, StablePair

MARKET = ("StablePair", "ExitReserve", "Gauge")
"""Contracts that people trade with, and are rewarded by."""
GAS = 350_000
"""Most gas of a call whose approval is not sent yet, so that no node can estimate it: twice what any of them takes."""
PPM = 1_000_000
LP, RESERVE_SHARES = "flLP", "flRES"
"""Symbols of what those who provide hold, of the pair and of the exit reserve."""


class Market:
    """The market of one deployment. Raises RecordError when there is none."""

    def __init__(self, floe: Floe) -> None:
        self.floe = floe
        found = contracts(floe.record, MARKET)
        self.pair, self.reserve, self.gauge = (found[name] for name in MARKET)

    def ask(self, view: Any, *arguments: Any) -> tuple[int, ...]:
        """Return the numbers that a view answers at the block that is looked at. Raises RefusedError if it reverts."""
        answer = self._call(view.contract.address, bytes(view.encode_input(*arguments)))
        return tuple(int.from_bytes(answer[i : i + 32], "big") for i in range(0, len(answer), 32))

    def offer(self, view: Any, *arguments: Any) -> int | None:
        """Return the number that a view answers; None when it refuses."""
        try:
            return self.ask(view, *arguments)[0]
        except RefusedError:
            return None

    def _call(self, contract: str, data: bytes) -> bytes:
        with refusals():
            return bytes(self.floe.provider.web3.eth.call({"to": contract, "data": encode_hex(data)}, self.floe.block))

    # --- the model ---

    def state(self) -> State:
        """Read what the model needs to go on from here."""
        floe = self.floe
        line = floe.read(floe.lens.protocol).line
        words = tuple(int(word) for word in floe.read(floe.pool.state))
        return State(
            PoolState(floe.now, words, int(line.tail), int(line.filled), int(line.paid_in)),
            self._pair(),
            self._reserve(),
        )

    def _pair(self) -> PairState | None:
        floe, pair = self.floe, self.pair
        [supply] = self.ask(pair.totalSupply)
        if not supply:
            return None
        eth, floeth = self.ask(pair.balances)
        known = floe.read(pair.parameters)
        return PairState(
            eth=eth,
            floeth=floeth,
            locked=int(floe.read(pair.locked)),
            supply=supply,
            amplification=int(floe.read(pair.amplification)),
            fees=Fees(int(known.fee), int(known.off_peg), int(known.admin_ppm)),
        )

    def _reserve(self) -> ReserveState:
        floe, reserve = self.floe, self.reserve
        known = floe.read(reserve.parameters)
        numbers = [
            self.ask(view)[0] for view in (reserve.cash, reserve.fresh, reserve.held, reserve.queued, reserve.locked)
        ]
        limits = ReserveParameters(
            int(known.fee_min), int(known.fee_max), int(known.target), bool(known.of_value), int(known.min_ticket)
        )
        return ReserveState(Books(*numbers), limits)

    def least(self, expected: int, preview: Callable[[StablePair], int], slippage_ppm: int | None) -> tuple[int, str]:
        """Return the least to accept of what the pair should give, and why, in words.

        Exactly what is quoted, or a tolerance as named: whoever accepts less offers the difference to a sandwich. What
        time alone takes, while rewards stream in, is accepted in any case; `preview` says so on the model.
        """
        if slippage_ppm is not None:
            return less(expected, slippage_ppm), f"{slippage_ppm / 10_000:g} % less than quoted"
        live = Live(self.state())
        pair = live.pair
        if pair is None:
            return expected, "what is quoted: nobody else has provided anything"
        return min(live.later(lambda: preview(pair)), expected), "what is quoted, less what rewards take in ten minutes"

    # --- paying ---

    @property
    def reserve_fee(self) -> int:
        """Ppm that the reserve takes of a sale at least."""
        return int(self.floe.read(self.reserve.parameters).fee_min)

    def approval(self, wallet: Wallet, token: Any, spender: Any, amount: int) -> list[Call]:
        """Return the call that lets a contract take exactly that much of a token, where it may not yet."""
        if self.ask(token.allowance, wallet.address, spender.address)[0] >= amount:
            return []
        return [Call("approve", token.approve, (spender.address, amount))]

    # --- rewards ---

    @cached_property
    def reward_tokens(self) -> list[str]:
        """Addresses of the tokens that the gauge pays."""
        return [str(token) for token in self.floe.read(self.gauge.reward_tokens)]

    def show(self, token: str, amount: int) -> str:
        """Write an amount of any token that says what it is called, and how many decimals it has."""
        if token == self.floe.pool.address:
            return show(amount, "floETH")
        name, decimals = self._described(token)
        return show(amount, name) if decimals == 18 else f"{amount} units of {name}"

    def symbol(self, token: str) -> str:
        """Return what a token is called; its address where it does not say."""
        return self._described(token)[0]

    def _described(self, token: str) -> tuple[str, int | None]:
        """Return symbol and decimals of a token, as far as it says them in the usual way."""
        try:
            [decimals] = decode(["uint8"], self._call(token, keccak(text="decimals()")[:4]))
            [name] = decode(["string"], self._call(token, keccak(text="symbol()")[:4]))
        except (RefusedError, DecodingError, UnicodeDecodeError):
            return to_checksum_address(token), None
        return (name if name.isprintable() and 0 < len(name) <= 20 else to_checksum_address(token)), decimals


def of_held(wallet: Wallet, token: Any, name: str, amount: int | None, elsewhere: str = "") -> int:
    """Return an amount (None: all) of a token that an account holds. Raises ClickException when it holds less."""
    holds = int(wallet.floe.read(token.balanceOf, wallet.address))
    if holds == 0 or (amount or 0) > holds:
        raise click.ClickException(f"{wallet.address} holds {show(holds, name)}{elsewhere}")
    return holds if amount is None else amount


def less(amount: int, slippage_ppm: int) -> int:
    """Return the least that is accepted of a previewed amount (rounded down)."""
    return amount * (PPM - slippage_ppm) // PPM


def carry_out(wallet: Wallet, title: str, rows: list[tuple[str, str]], calls: list[Call]) -> Any:
    """Show the quote, ask, and send the calls one after the other; return the last receipt, None when none was sent."""
    if len(calls) > 1:
        rows = [*rows, ("transactions", f"{len(calls)}: the first lets the contract take what is paid")]
    if not wallet.quote(title, rows, calls):
        return None
    receipt = None
    with wallet.signing():
        for call in calls:
            receipt = wallet.send(call)
    return receipt


def tell(wallet: Wallet, line: str) -> None:
    """Say what happened."""
    wallet.console.print(line, soft_wrap=True)
