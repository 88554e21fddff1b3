"""The model, put into the state that a chain was read in: what would happen next, worked out without a transaction.

Only what a sale depends on is there: tickets, validators and who holds what are not. Rewards do not come in meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from floe.market.crowd import Departure, Offer, leave
from floe.market.search import largest
from floe.market.ways import INSTANT, PAIR, RESERVE, value
from floe.model.basics import GWEI, PPM, U80, U96, UNLIMITED, Address, Revert
from floe.model.exit_reserve import Books, ExitReserve, ReserveParameters
from floe.model.parameters import Parameters
from floe.model.pool import Pool
from floe.model.protocol import Accounts, Protocol
from floe.model.stable_pair import Fees, StablePair

Answer = TypeVar("Answer")

U16, U32, U40 = 2**16 - 1, 2**32 - 1, 2**40 - 1


def _address(number: int) -> Address:
    return f"0x{number:040x}"


PATIENCE = 600
"""Seconds within which a transaction should be in a block."""
ACCOUNTS = Accounts(*(_address(number) for number in range(1, 11)))
PAIR_AT, RESERVE_AT, CROWD = _address(11), _address(12), _address(13)
"""CROWD holds as much floETH, liquidity and ETH as it needs."""


@dataclass(frozen=True)
class PoolState:
    """What the pool and the queue answer at one block."""

    now: int
    words: tuple[int, ...]
    """`state()`."""
    tail: int
    filled: int
    paid_in: int


@dataclass(frozen=True)
class PairState:
    """What the pair answers. A pair without liquidity is none."""

    eth: int
    floeth: int
    locked: int
    supply: int
    amplification: int
    """Times 100."""
    fees: Fees


@dataclass(frozen=True)
class ReserveState:
    """What the reserve answers."""

    books: Books
    """As of the block's time."""
    parameters: ReserveParameters


@dataclass(frozen=True)
class State:
    """What was read, all at one block."""

    pool: PoolState
    pair: PairState | None
    reserve: ReserveState


class Live:
    """The protocol as it stands, and a crowd that can trade with it."""

    def __init__(self, state: State) -> None:
        pool, pair, reserve = state.pool, state.pair, state.reserve
        self.protocol = Protocol(ACCOUNTS, _parameters(pool.words[6]), 0, GWEI, pool.now)
        self.pool: Pool = self.protocol.pool
        _restore(self.pool, pool)
        self.pair: StablePair | None = None if pair is None else self._add_pair(pair)
        self.reserve: ExitReserve = self._add_reserve(reserve)
        self.protocol.chain.ether[CROWD] = U96
        self.pool.balances[CROWD] = self.pool.shares
        for spender in (PAIR_AT, RESERVE_AT):
            self.pool.allowances.amounts[CROWD, spender] = UNLIMITED

    def _add_pair(self, state: PairState) -> StablePair:
        pair = self.protocol.add_stable_pair(
            PAIR_AT, ACCOUNTS.admin, ACCOUNTS.fee_recipient, state.fees, state.amplification
        )
        pair.eth, pair.floeth, pair.locked_then, pair.erc20.supply = state.eth, state.floeth, state.locked, state.supply
        pair.touched_at = self.protocol.chain.now
        pair.erc20.balances[CROWD] = state.supply
        self.protocol.chain.ether[PAIR_AT] = state.eth
        self.pool.balances[PAIR_AT] = state.floeth
        return pair

    def _add_reserve(self, state: ReserveState) -> ExitReserve:
        reserve = self.protocol.add_exit_reserve(RESERVE_AT, ACCOUNTS.admin, state.parameters)
        reserve.books, reserve.touched_at = state.books, self.protocol.chain.now
        self.protocol.chain.ether[RESERVE_AT] = state.books.cash
        self.pool.balances[RESERVE_AT] = state.books.held
        return reserve

    def worth(self, shares: int) -> int:
        """Return what shares are worth to who leaves, in wei."""
        return value(shares, self.pool.exit_value(), self.pool.shares)

    def trial(self, action: Callable[[], Answer]) -> Answer | None:
        """Do something and undo it; return what it returned, None when it was refused."""
        before = self.protocol.checkpoint()
        try:
            return action()
        except Revert:
            return None
        finally:
            self.protocol.restore(before)

    def reserve_target(self) -> int:
        """Return the wei with which the reserve's sales are cheapest."""
        reserve = self.reserve
        return reserve.size(reserve.books) if reserve.parameters.of_value else reserve.parameters.target

    # --- what is accepted ---

    def later(self, preview: Callable[[], int]) -> int:
        """Return the least that a preview promises now and within `PATIENCE`, while nobody trades; 0 if refused.

        Rewards and fees stream in meanwhile, and what is bought becomes dearer by as much.
        """
        chain = self.protocol.chain
        start = chain.now
        try:
            chain.now = start + PATIENCE
            after = self.trial(preview) or 0
        finally:
            chain.now = start
        return min(self.trial(preview) or 0, after)

    # --- the pair ---

    def price(self) -> int | None:
        """Return the wei for which the pair would take the next 1e18 shares, without fee.

        None without a pair, and while floETH is worth nothing.
        """
        if self.pair is None:
            return None
        entry_value, supply = self.pool.entry_price()
        try:
            return self.pair.price() * entry_value // supply
        except Revert:
            return None

    def price_after_sale(self, shares: int) -> int | None:
        """Return the price when so much floETH has been sold to the pair; None when it refuses."""
        return self.trial(lambda: self._after(shares, 0))

    def price_after_purchase(self, wei: int) -> int | None:
        """Return the price when so much ETH has been paid to the pair; None when it refuses."""
        return self.trial(lambda: self._after(0, wei))

    def bought(self, wei: int) -> int | None:
        """Return the shares that so much ETH would buy from the pair; None when it refuses."""
        pair = self.pair
        return None if pair is None else self.trial(lambda: pair.buy(CROWD, wei, 0, CROWD))

    def _after(self, shares: int, wei: int) -> int | None:
        assert self.pair is not None
        if shares:
            self.pair.sell(CROWD, shares, 0, CROWD)
        if wei:
            self.pair.buy(CROWD, wei, 0, CROWD)
        return self.price()

    def depth(self, ppm: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Return what moves the pair's price by `ppm`, down and up: (shares sold, wei paid), (wei paid, shares bought).

        The amounts are the largest that move it no further. None without a pair.
        """
        if self.pair is None or (price := self.price()) is None:
            return None
        low, high = price * (PPM - ppm) // PPM, price * (PPM + ppm) // PPM
        down = largest(lambda shares: (self.price_after_sale(shares) or 0) >= low, self.pair.floeth + self.pool.shares)
        up = largest(lambda wei: (self.price_after_purchase(wei) or high + 1) <= high, self.pair.eth + U80)
        return (down, self._preview(self.pair.preview_sell, down)), (up, self._preview(self.pair.preview_buy, up))

    @staticmethod
    def _preview(preview: Callable[[int], int], amount: int) -> int:
        return preview(amount) if amount else 0

    # --- a crowd ---

    def offers(self) -> list[Offer]:
        """Return the ways out that pay at once, as the crowd meets them."""
        pool, pair, reserve = self.pool, self.pair, self.reserve
        found = [
            self._offer(INSTANT, lambda shares: pool.redeem(CROWD, shares, CROWD, CROWD)),
            self._offer(RESERVE, lambda shares: reserve.sell(CROWD, shares, 0, CROWD)),
        ]
        if pair is not None:
            found.append(self._offer(PAIR, lambda shares: pair.sell(CROWD, shares, 0, CROWD)))
        return found

    def _offer(self, name: str, sell: Callable[[int], int]) -> Offer:
        return Offer(name, lambda shares: self.trial(lambda: sell(shares)), sell)

    def leave(self, shares: int, patience_ppm: int) -> Departure:
        """Let a crowd leave with so many shares, cheapest first (`floe.market.crowd.leave`). This changes the state."""
        return leave(shares, self.offers(), self.worth, patience_ppm)


def _parameters(packed: int) -> Parameters:
    shorts = [packed >> shift & U16 for shift in (0, 16, 32, 48)]
    longs = [packed >> shift & U32 for shift in (64, 96, 128, 160)]
    return Parameters(*shorts, *longs)


def _restore(pool: Pool, state: PoolState) -> None:
    """Put the pool into a state. Raises ValueError when the words are not ones that a pool could have."""
    totals, stream, away, past, exits, flows, _, gifts = state.words
    pool.shares, pool.assets, pool.deposit_paused_until = totals & U96, totals >> 96 & U96, totals >> 192 & U40
    pool.locked_at_start, pool.stream_start = stream & U96, stream >> 96 & U40
    pool.stream_end, pool.ceiling_gwei = stream >> 136 & U40, stream >> 176
    pool.outside, pool.pending_loss, pool.fulfil_paused_until = away & U96, away >> 96 & U96, away >> 192
    pool.deficit, pool.report_at = past & U96, past >> 96 & U40
    pool.instant_allowance, pool.instant_paused_until = past >> 136 & U80, past >> 216
    pool.waiting, pool.eligible, pool.stale_at = exits & U96, exits >> 96 & U96, exits >> 192
    pool.deposited, pool.withdrawn, pool.raised_gwei = flows & U96, flows >> 96 & U96, flows >> 192
    pool.donated = gifts
    if pool.words() != state.words:
        raise ValueError("not the state of a pool")
    pool.chain.ether[pool.address] = pool.buffer()
    queue = pool.queue
    queue.ends[0], queue.filled_shares[0], queue.filled_ether[0] = state.tail, state.filled, state.paid_in
    pool.balances.clear()
