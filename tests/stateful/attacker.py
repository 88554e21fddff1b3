"""A scripted attacker on the real contracts of the liquidity room: he must lose or break even in every random market.

    python -m tests.stateful.attacker [--markets 10000] [--seed S] [--processes 2]

A market is a pool with a rate, rewards that stream and perhaps a pending loss; a pair of random amplification, fees,
size and imbalance; a reserve with some fill and tickets; a gauge with rewards; and victims with orders. In each the
attacker plays every strategy of STRATEGIES from the same state, with sizes searched a little, starting with ETH and
sometimes floETH.

What counts. All that he holds is worth what it can be redeemed for now: floETH and the unfilled parts of tickets at the
exit rate, liquidity as both sides that it would be given for, reserve shares at their value. His profit is the sum of
what his own transactions change in that. While time passes, reports come or victims trade, he is compared with
somebody who holds the same things: for floETH that is the rate, for liquidity its part of the books. Beyond that what
he holds may not grow faster than fees are released. A second measure looks at the whole: what he ends with, less what
was released to him, against ETH that was kept or staked at the entry price, whichever was better at each step.
Rounding in his favour: who has provided to the reserve may gain a wei for each floETH that is there (it takes the rate
in whole 10^-18); in all other transactions of his none. Where he is compared with a holder, one wei for each thing that
is valued (values round down), and where a victim sells to the reserve one wei that the victim's sale rounds away.

Markets start with the pair inside its own fee of the entry price, and victims leave it there: beyond that anybody
gains by bringing it back, which is no attack.

Victims accept as much as the pair's own fee f less than quoted, if their order and the largest that this bears ahead of
it move the price by at most two fees (2f - f², exactly: then what is sold ahead, for p(1 - f) at best, is bought back
for that at least); and otherwise no less than quoted. Somebody who accepts `t` less than quoted on an order of V offers
t·V to a sandwich: it costs two fees on what is traded around him, so a gain of about t·V·(1 - 2f/m) where both move the
price by m, more than two fees. `--tolerance PPM` shows that.

Who provides just before a victim and leaves after gets none of the fee; what he has then is what every provider has,
floETH bought at the victim's price. The table shows the best of that under "price impact"; it is not counted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

from eth_utils.crypto import keccak

from floe import build
from floe.model.basics import DAY, ETHER, GWEI, PPM
from floe.model.stable_pair import invariant
from tests.evm import Contract, Evm, RevertError, types_of
from tests.evm import functions as functions_of
from tests.protocol import STAKER, Protocol
from tests.reserve import Parameters
from tests.stateful.world import MappingSlots, slots

ATTACKER, PROVIDER, VICTIM = ("0x" + f"a{i}" * 20 for i in range(3))
RICH = 10**6 * ETHER
CONTRACTS = ("FloePool", "WithdrawalQueue", "StablePair", "ExitReserve", "Gauge", "MockToken", "MockWallet")
AMPLIFICATIONS = (1, 2, 5, 10, 25, 60, 120, 200, 400, 1_000, 2_000, 5_000)
RESERVE = Parameters(fee_min=500, fee_max=20_000, target=1_000 * ETHER, of_value=False, min_ticket=ETHER // 10)
U256, U96, U40 = 2**256 - 1, 2**96 - 1, 2**40 - 1
SEARCH = 8
"""Steps in the search for the largest trade ahead of a victim."""


class Refused(Exception):  # noqa: N818
    """A transaction that reverted."""


class Profit(AssertionError):  # noqa: N818
    """The attacker gained."""


@cache
def _selectors(name: str) -> dict[tuple[str, int], bytes]:
    found = {}
    for entry in functions_of(name):
        inputs = types_of(entry)
        found[entry["name"], len(inputs)] = keccak(text=f"{entry['name']}({','.join(inputs)})")[:4]
    return found


def _word(value: Any) -> bytes:
    if value.__class__ is str:
        return bytes(12) + bytes.fromhex(value[2:])
    if isinstance(value, Contract):
        return bytes(12) + bytes.fromhex(value.address[2:])
    return int(value).to_bytes(32, "big")


@cache
def _slot(name: str, variable: str, *keys: str) -> int:
    """Slot of a variable of a contract, or of an entry of its mapping."""
    found = slots(build.load(name))[variable]
    return MappingSlots(found)[tuple(map(_word, keys))] if keys else found


class Market:
    """One chain, and how to make random markets on it."""

    def __init__(self) -> None:
        """Deploy what all markets share."""
        self.evm = evm = Evm()
        self.protocol = Protocol(evm)
        self.protocol.warm()
        self.pool, self.queue = self.protocol.pool, self.protocol.queue
        self.reward = evm.deploy("MockToken")
        self.wallet = evm.deploy("MockWallet")
        for account in (ATTACKER, PROVIDER, VICTIM, self.wallet):
            evm.fund(account, RICH)
        self.revm = evm.revm
        admin = self.protocol.admin
        self.pairs = [
            evm.deploy("StablePair", self.pool, admin, STAKER, 400, 50_000, 200_000, a * 100) for a in AMPLIFICATIONS
        ]
        self.gauges = [evm.deploy("Gauge", pair, admin) for pair in self.pairs]
        self.reserves = [evm.deploy("ExitReserve", self.pool, admin, RESERVE) for _ in range(2)]
        for pair, gauge in zip(self.pairs, self.gauges, strict=True):
            gauge.add_reward(self.reward, PROVIDER, DAY, sender=admin)
            for account in (ATTACKER, PROVIDER, VICTIM):
                self.send(account, self.pool, "approve", pair, U256)
                self.send(account, pair, "approve", gauge, U256)
                self.send(account, self.reward, "approve", gauge, U256)
            self.pool.approve(pair, U256, sender=self.wallet)
        for reserve in self.reserves:
            for account in (ATTACKER, PROVIDER, VICTIM):
                self.send(account, self.pool, "approve", reserve, U256)
                self.send(account, self.queue, "setApprovalForAll", reserve, 1)
            self.pool.approve(reserve, U256, sender=self.wallet)
        self.send(PROVIDER, self.reward, "mint", PROVIDER, 2**90)
        self.tickets: list[int] = []
        """Of the attacker, sold ones too."""

    # --- calls ---

    def send(self, sender: str, contract: Contract, function: str, *arguments: Any, value: int = 0) -> Any:
        """Send a transaction; returns its words: one number, or a tuple. Raises Refused."""
        data = _selectors(contract.kind)[function, len(arguments)] + b"".join(map(_word, arguments))
        try:
            answer = bytes(self.revm.message_call(sender, contract.address, data, value, 30_000_000))
        except RuntimeError as error:
            raise Refused(f"{function}: {error}") from None
        finally:
            self.revm.reset_transient_storage()
        words = [int.from_bytes(answer[i : i + 32], "big") for i in range(0, len(answer), 32)]
        return words[0] if len(words) == 1 else tuple(words)

    def ask(self, contract: Contract, function: str, *arguments: Any) -> Any:
        """Ask a view."""
        return self.send(VICTIM, contract, function, *arguments)

    def stored(self, contract: Contract, variable: str, *keys: str) -> int:
        """Read a variable from storage."""
        return int(self.revm.storage(contract.address, _slot(contract.kind, variable, *keys)))

    def try_(self, *call: Any, value: int = 0) -> Any:
        """Send a transaction; 0 when it is refused."""
        try:
            return self.send(*call, value=value)
        except Refused:
            return 0

    def travel(self, seconds: int) -> None:
        """Let time pass."""
        self.evm.travel(seconds)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo at the end of the block all that happened in it."""
        checkpoint, now, tickets = self.revm.snapshot(), self.evm.now, list(self.tickets)
        try:
            yield
        finally:
            self.revm.revert(checkpoint)
            self.tickets = tickets
            self.evm.travel(now - self.evm.now)

    # --- a random market ---

    def draw(self, random: Random) -> None:
        """Make a market of what all share."""
        pool, admin = self.pool, self.protocol.admin
        number, other = random.sample(range(len(self.pairs)), 2)
        self.pair, self.gauge, self.new_pair = self.pairs[number], self.gauges[number], self.pairs[other]
        self.reserve, self.new_reserve = self.reserves
        self.base_fee = int(50 * 200 ** random.random())
        for pair in (self.pair, self.new_pair):
            terms = self.base_fee, random.choice((10_000, 50_000, 200_000)), random.choice((0, 200_000, 500_000))
            pair.set_fees(*terms, sender=admin)
        fee_min = random.randrange(2_000)
        size = int(ETHER * 10 ** random.uniform(0, 3.5))
        reserve_terms = Parameters(
            fee_min,
            random.choice((fee_min, 20_000, 100_000)),
            random.choice((0, size // 2, 2 * size)),
            random.random() < 0.5,
            ETHER // 10,
        )
        for reserve in self.reserves:
            reserve.set_parameters(reserve_terms, sender=admin)
        liquidity = int(ETHER * 10 ** random.uniform(0, 3.5))
        self.liquidity = liquidity
        for account, times in ((PROVIDER, 2), (VICTIM, 40)):
            self.stake(account, times * liquidity + size + ETHER)
        self.protocol.to_validators()
        self.send(PROVIDER, self.pair, "add_liquidity", self.shares_for(liquidity), 0, value=liquidity)
        self.send(PROVIDER, self.reserve, "deposit", size, PROVIDER, value=size)
        self.travel(12)
        self.send(
            PROVIDER, self.gauge, "stake", self.ask(self.pair, "balanceOf", PROVIDER) // random.choice((1, 2, 50))
        )
        self.send(PROVIDER, self.gauge, "notify", self.reward, int(10 ** random.uniform(3, 21)))
        self.travel(random.choice((0, DAY, 2 * DAY)))
        for _ in range(random.randrange(3)):
            self.try_(VICTIM, self.reserve, "sell", self.shares_for(int(size * random.random())), 0)
            if random.random() < 0.5:
                self.try_(VICTIM, self.reserve, "queue_exits")
        if random.random() < 0.3:
            self.protocol.report(gain=int(ETHER * random.random()))
            self.try_(VICTIM, self.pool, "fulfil")
        if random.random() < 0.4:
            outside = self.ask(pool, "outside") // GWEI
            self.protocol.raise_pending_loss(int(outside * 10 ** random.uniform(-4, -0.7)))
        sell = random.random() < 0.5
        if wei := self.bearable(sell, int(liquidity * random.random())):
            self.order(sell, wei)
        self.travel(random.choice((0, 12, 3_600, DAY // 2)))
        self.settle()

    def stake(self, account: str, wei: int) -> int:
        """Stake for an account; returns the shares."""
        return int(self.send(account, self.pool, "deposit", wei, account, value=wei))

    def rates(self) -> tuple[int, int, int]:
        """Entry value, exit value and shares of the pool."""
        totals, stream = self.stored(self.pool, "totals"), self.stored(self.pool, "stream_word")
        locked, start, end = stream & U96, stream >> 96 & U40, stream >> 136 & U40
        left = locked * (end - self.evm.now) // (end - start) if self.evm.now < end else 0
        value = (totals >> 96 & U96) - left
        return value, value - min(value, self.stored(self.pool, "away") >> 96 & U96), totals & U96

    def shares_for(self, wei: int) -> int:
        """Shares that `wei` would buy."""
        value, _, shares = self.rates()
        return wei * shares // value

    def books(self) -> tuple[int, int]:
        """Wei and shares of the pair's books."""
        word = self.stored(self.pair, "books")
        return word & U96, word >> 96

    def fair(self) -> bool:
        """Whether the pair's price is within its fee of the entry price; so it is while the pair is empty."""
        if not self.books()[0]:
            return True
        price = int(self.ask(self.pair, "price"))
        return (PPM - self.base_fee) * ETHER <= price * PPM and price * (PPM - self.base_fee) <= PPM * ETHER

    def order(self, sell: bool, wei: int, least: int = 0, account: str = VICTIM) -> int:
        """Let an account trade about `wei` of value with the pair; raises Refused below `least`."""
        if sell:
            return int(self.send(account, self.pair, "sell", self.shares_for(wei), least))
        return int(self.send(account, self.pair, "buy", least, value=wei))

    def quote(self, sell: bool, wei: int) -> int:
        """Return what the pair would give."""
        if sell:
            return int(self.ask(self.pair, "preview_sell", self.shares_for(wei)))
        return int(self.ask(self.pair, "preview_buy", wei))

    def settle(self) -> None:
        """Let others trade until the price is fair, or they cannot."""
        eth, books = self.books()
        value, _, shares = self.rates()
        wei, was_dear = min(eth, books * value // shares) // 5, None
        while not self.fair() and wei > GWEI:
            dear = self.ask(self.pair, "price") > ETHER
            if was_dear not in (None, dear):
                wei //= 4
            was_dear = dear
            try:
                self.order(dear, wei)
            except Refused:
                return

    def bearable(self, sell: bool, wei: int) -> int:
        """Return as much of `wei` as can be traded without making the price unfair."""
        while wei > GWEI:
            with self.undone():
                try:
                    self.order(sell, wei)
                    if self.fair():
                        return wei
                except Refused:
                    pass
            wei //= 5
        return 0


# --- what he has ---


@dataclass(slots=True)
class Holdings:
    """What the attacker has at a moment."""

    wei: int
    """ETH, and what can be claimed or redeemed as ETH."""
    floeth: int
    """Shares of the pool, his part of those of pair and reserve included."""
    exit_value: int
    supply: int
    things: int
    """Wei that his things may be worth more than was found, because their values round down."""
    liquidity: Fraction
    """His part of the pair's value that is not locked, in wei of D."""
    fees: Fraction
    """His part of the fees that are locked in pair and reserve, in wei."""

    @property
    def value(self) -> int:
        """Wei at redemption (rounded down)."""
        return self.wei + self.floeth * self.exit_value // self.supply


@dataclass
class Play:
    """One strategy in one market."""

    market: Market
    random: Random
    gain: int = 0
    """By his own transactions so far."""
    impact: int = 0
    """What he gained as a provider by the price at which victims traded."""
    bench: Fraction = Fraction(0)
    """What ETH would be worth by now, kept or staked at every step as was better."""
    released: Fraction = Fraction(0)
    """Fees released to him."""
    last: int = 0
    extra: int = 0
    """Profit found otherwise: rewards beyond his part, a view that lies."""
    acted: bool = False
    void: bool = False
    """Nobody could bring the price back: what is gained by that is no attack, and the play does not count."""
    named: int = 0
    """Wei that roundings of the reserve's may give him: it takes the rate in whole 10^-18, a wei for each floETH."""
    steps: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Start with ETH, and sometimes floETH that he has had for long."""
        m = self.market
        self.void = not m.fair()
        if self.random.random() < 0.3:
            m.try_(VICTIM, m.pool, "transfer", ATTACKER, m.shares_for(self.size()))
        start = self.holdings()
        # Its value rounds down.
        self.last = start.value + bool(start.floeth)
        self.bench = start.wei + Fraction(start.floeth * m.rates()[0], start.supply) + bool(start.floeth)

    def holdings(self) -> Holdings:
        """Look at all that he has."""
        m = self.market
        value, exit_value, supply = m.rates()
        wei, floeth, things = int(m.revm.get_balance(ATTACKER)), m.stored(m.pool, "balances", ATTACKER), 1
        for ticket in m.tickets:
            if m.try_(VICTIM, m.queue, "ownerOf", ticket) == int(ATTACKER, 16):
                wei += m.ask(m.queue, "claimable", ticket)
                floeth += m.ask(m.queue, "pending", ticket)
                things += 1
        liquidity = fees = Fraction(0)
        lp = m.stored(m.pair, "balanceOf", ATTACKER) + m.stored(m.gauge, "staked", ATTACKER)
        if lp:
            try:
                ether, shares = m.ask(m.pair, "preview_remove", lp)
            except Refused:  # less than a wei
                ether = shares = 0
            wei, floeth, things = wei + ether, floeth + shares, things + 2
            eth, books = m.books()
            d = invariant(2 * m.ask(m.pair, "amplification"), eth, books * value // supply)
            part, locked = Fraction(lp, m.ask(m.pair, "totalSupply")), min(m.ask(m.pair, "locked"), d)
            liquidity = part * (d - locked)
            # What a wei of D is given for may be worth more than a wei where the sides differ.
            fees += part * locked * Fraction(eth + books * value // supply, d)
        if own := m.stored(m.reserve, "balanceOf", ATTACKER):
            part = Fraction(own, m.ask(m.reserve, "totalSupply"))
            worth = m.ask(m.reserve, "convertToAssets", own)
            filled, tickets = m.ask(m.queue, "filled"), m.ask(m.reserve, "open_tickets")[2:]
            waiting = sum(
                end - min(max(filled, start), end) for start, end in zip(tickets[1::3], tickets[2::3], strict=True)
            )
            inside = int(part * (m.ask(m.reserve, "held") + waiting))
            wei, floeth, things = wei + worth - inside * exit_value // supply, floeth + inside, things + 3
            things += inside // ETHER + 1  # the reserve takes the rate in whole 10^-18
            fees += part * m.ask(m.reserve, "locked")
        return Holdings(wei, floeth, exit_value, supply, things, liquidity, fees)

    def do(self, contract: Contract, function: str, *arguments: Any, value: int = 0) -> Any:
        """Let him do something; 0 when it is refused."""
        shown = ", ".join(str(a) for a in arguments if isinstance(a, int))
        try:
            answer = self.market.send(ATTACKER, contract, function, *arguments, value=value)
        except Refused:
            self.steps.append(f"({contract.kind}.{function}({shown}) value {value})")
            return 0
        self.acted = True
        if contract is self.market.reserve and function == "deposit":
            held, queued = self.market.ask(contract, "held"), self.market.ask(contract, "queued")
            self.named = max(self.named, (held + queued) // ETHER + 1)
        self.steps.append(f"{contract.kind}.{function}({shown}) value {value} -> {answer}")
        return answer

    def meanwhile(self, event: Callable[[], Any], name: str, victim: bool = False) -> Any:
        """Let something happen that is not his doing. Raises Refused as it does."""
        before = self.holdings()
        answer = event()
        after = self.holdings()
        self.steps.append(f"[{name}]")
        self.gain += before.value - self.last
        self.last = after.value
        drift = after.value - before.value
        if victim:
            # No time has passed and no rate has changed: a provider has as much of D as before, in another mixture.
            # While a loss is pending D counts floETH for more than it is worth, and more of it is no gain.
            lossless = after.exit_value == self.market.rates()[0]
            caught = after.liquidity - before.liquidity if lossless else Fraction(0)
            impact = drift if after.liquidity else 0
            if caught > 0 or drift > impact + (1 if after.things > 1 else 0):
                self.extra += max(int(caught), drift - impact)
            self.impact += impact
            if after.liquidity and not lossless:
                # A provider has bought at the exit price, and gains by no step of his own if the loss does not come.
                self.bench = Fraction(2**128)
            self.bench += max(impact, 0) + before.things + after.things
            return answer
        ratio = Fraction(after.exit_value * before.supply, before.exit_value * after.supply) if before.exit_value else 1
        held = before.floeth * Fraction(before.exit_value, before.supply) * (ratio - 1)
        released = max(before.fees * max(Fraction(1), ratio) - after.fees, Fraction(0))
        if drift > held + released + before.things + after.things:
            self.extra += int(drift - held - released) - before.things - after.things
        self.released += released
        return answer

    def event(self, action: Callable[[], Any], name: str) -> Any:
        """Let time pass or a report come."""
        before = self.market.rates()
        answer = self.meanwhile(action, name)
        after = self.market.rates()
        if not self.market.fair():
            # Rewards and losses move the sides apart. Others come first.
            self.victim(self.market.settle, "arbitrage")
            self.void |= not self.market.fair()
        if before[0]:
            self.bench *= max(Fraction(1), Fraction(after[0] * before[2], before[0] * after[2]))
        self.bench += 2 * self.holdings().things
        return answer

    def victim(self, action: Callable[[], Any], name: str) -> Any:
        """Let a victim trade; raises Refused when it does not take it."""
        return self.meanwhile(action, name, victim=True)

    def end(self) -> int:
        """Return his profit in wei, the larger by the two measures, less what is named."""
        if self.void:
            self.acted = False
            return 0
        final = self.holdings().value
        profit = max(self.gain + final - self.last, int(final - self.bench - self.released)) + self.extra
        return profit - min(max(profit, 0), self.named)

    # --- what he does often ---

    def stake(self, wei: int) -> int:
        """Get floETH from the pool, or from the pair where the pool takes nothing."""
        m = self.market
        return int(self.do(m.pool, "deposit", wei, ATTACKER, value=wei) or self.do(m.pair, "buy", 0, value=wei))

    def floeth(self) -> int:
        """FloETH that he has."""
        return self.market.stored(self.market.pool, "balances", ATTACKER)

    def lp(self) -> int:
        """Liquidity that he has."""
        return self.market.stored(self.market.pair, "balanceOf", ATTACKER)

    def provide(self, wei: int) -> int:
        """Provide about `wei` in the pair's proportion."""
        m = self.market
        eth, books = m.books()
        shares = self.stake(wei)
        return int(self.do(m.pair, "add_liquidity", shares, 0, value=shares * eth // books))

    def block(self, always: bool = False) -> None:
        """Wait for the next block, or not: new liquidity cannot leave before."""
        if always or self.random.random() < 0.7:
            self.event(lambda: self.market.travel(12), "a block")

    def size(self) -> int:
        """Return an amount of wei: from dust to ten times the pair."""
        r = self.random
        if r.random() < 0.1:
            return int(10 ** r.uniform(0, 15))
        return int(self.market.liquidity * 10 ** r.uniform(-3, 1))


# --- strategies ---


def sandwich(play: Play) -> None:
    """Trade before a victim in its direction, as much as it bears, and back after it."""
    m, r = play.market, play.random
    sell = r.random() < 0.5
    wei = int(m.liquidity * 10 ** r.uniform(-3, 0))
    wei = m.bearable(sell, wei) if TOLERANCE is None else wei
    if not wei:
        return
    if sell:
        play.stake(11 * m.liquidity)
    least, most = accepted(m, sell, wei)
    ahead = int(most * r.choice((1.0, 1.0, r.random())))
    got = play.do(
        *((m.pair, "sell", m.shares_for(ahead), 0) if sell else (m.pair, "buy", 0)), value=0 if sell else ahead
    )
    try:
        play.victim(lambda: m.order(sell, wei, least), "victim trades")
    except Refused:
        return
    part = r.choice((1.0, 1.0, r.random()))
    if sell:
        play.do(m.pair, "buy", 0, value=int(got * part))
    else:
        play.do(m.pair, "sell", int(got * part), 0)


TOLERANCE: int | None = None
"""Ppm that victims accept less than quoted; None: what is safe."""


def borne(m: Market, sell: bool, wei: int, least: int) -> int:
    """Return the largest trade of the attacker's, to a few per cent, after which a victim still gets its least."""
    low, high = -5.0, 1.0
    for _ in range(SEARCH):
        middle = (low + high) / 2
        with m.undone():
            try:
                m.order(sell, int(m.liquidity * 10**middle), account=ATTACKER)
                m.order(sell, wei, least)
                low = middle
            except Refused:
                high = middle
    return int(m.liquidity * 10**low)


def accepted(m: Market, sell: bool, wei: int) -> tuple[int, int]:
    """Return the least that a victim accepts of a trade of `wei`, and the largest that this bears ahead of it.

    The attacker has what he could trade ahead.
    """
    quote = m.quote(sell, wei)
    if TOLERANCE is not None:
        least = quote * (PPM - TOLERANCE) // PPM
        return least, borne(m, sell, wei, least)
    fee, before = m.ask(m.pair, "fee"), m.ask(m.pair, "price")
    least = int(quote * (PPM - fee) // PPM)
    ahead = borne(m, sell, wei, least)
    with m.undone():
        try:
            # A little more than the search found.
            m.order(sell, ahead * 11 // 10, account=ATTACKER)
            m.order(sell, wei)
        except Refused:
            return quote, GWEI
        fee, after = min(fee, m.ask(m.pair, "fee")), m.ask(m.pair, "price")
    return (least, ahead) if abs(after - before) * PPM * PPM <= (2 * PPM - fee) * fee * before else (quote, GWEI)


def just_in_time_pair(play: Play) -> None:
    """Provide to the pair for one victim."""
    m, r = play.market, play.random
    sell = r.random() < 0.5
    wei = m.bearable(sell, int(m.liquidity * 10 ** r.uniform(-3, 0)))
    play.provide(play.size())
    play.block()
    if wei:
        play.victim(lambda: m.order(sell, wei), "victim trades")
    leave(play)


def leave(play: Play) -> None:
    """Take all liquidity back, in one of three ways."""
    m, way, liquidity = play.market, play.random.randrange(4), play.lp()
    if way == 0:
        play.do(m.pair, "remove_one", liquidity, 1, 0)
    elif way == 1:
        play.do(m.pair, "remove_one", liquidity, 0, 0)
    else:
        play.do(m.pair, "remove_liquidity", liquidity, 0, 0)


def just_in_time_reserve(play: Play) -> None:
    """Provide to the reserve for one victim; or to sell there at a lower fee oneself."""
    m, r = play.market, play.random
    play.do(m.reserve, "deposit", wei := play.size(), ATTACKER, value=wei)
    shares = m.shares_for(int(m.ask(m.reserve, "cash") * r.random()))
    if r.random() < 0.5:
        play.stake(wei)
        play.do(m.reserve, "sell", min(shares, play.floeth()), 0)
    else:
        play.victim(lambda: m.try_(VICTIM, m.reserve, "sell", shares, 0), "victim sells to the reserve")
    own = m.ask(m.reserve, "balanceOf", ATTACKER)
    if not play.do(m.reserve, "redeem", own, ATTACKER, ATTACKER):
        play.do(m.reserve, "redeem", m.ask(m.reserve, "maxRedeem", ATTACKER), ATTACKER, ATTACKER)


def just_in_time_gauge(play: Play) -> None:
    """Stake right before rewards are notified, or before they stream, for a moment or a while."""
    m, r = play.market, play.random
    play.provide(play.size())
    play.block(always=True)
    liquidity = play.lp()
    if not liquidity:
        return
    play.do(m.gauge, "stake", liquidity)
    m.try_(PROVIDER, m.gauge, "notify", m.reward, int(10 ** r.uniform(0, 22)))
    seconds = r.choice((0, 0, 1, 12, 3_600))
    stream = m.ask(m.gauge, "reward", m.reward)
    amount, start, end = stream[4], stream[2], stream[3]
    part = Fraction(liquidity, m.ask(m.gauge, "total_staked"))
    if seconds:
        play.event(lambda: m.travel(seconds), f"{seconds} s")
    play.do(m.gauge, "withdraw", liquidity)
    earned = play.do(m.gauge, "claim", ATTACKER, m.reward)
    # What streamed meanwhile, and what rounding shifts from one second to the next: a wei of all.
    due = part * (Fraction(amount * min(seconds, end - start), end - start) + 1 if seconds and end > start else 0)
    play.extra += max(0, earned - int(due) - (1 if seconds else 0))
    leave(play)


def rate_update(play: Play) -> None:
    """Enter before a report, a loss or its settlement in one way, leave after it in another."""
    m, r = play.market, play.random
    enter(play, play.size())
    play.event(lambda: change_rate(play), "report")
    if r.random() < 0.5:
        seconds = r.choice((12, 3_600, DAY))
        play.event(lambda: m.travel(seconds), f"{seconds} s")
    if r.random() < 0.3:
        play.event(lambda: change_rate(play), "report")
    take_out(play)


def enter(play: Play, wei: int) -> None:
    """Turn ETH into something."""
    m, way = play.market, play.random.randrange(6)
    if way == 0:
        play.stake(wei)
    elif way == 1:
        play.do(m.pair, "buy", 0, value=wei)
    elif way == 2:
        play.provide(wei)
    elif way == 3:
        play.do(m.pair, "add_liquidity", 0, 0, value=wei)
    elif way == 4:
        play.do(m.pair, "add_liquidity", play.stake(wei), 0)
    else:
        play.do(m.reserve, "deposit", wei, ATTACKER, value=wei)


def take_out(play: Play) -> None:
    """Turn what he has back into ETH, where it is sold at all, or keep it."""
    m, r = play.market, play.random
    if r.random() < 0.8:
        leave(play)
    if r.random() < 0.8 and (own := m.ask(m.reserve, "balanceOf", ATTACKER)):
        play.do(m.reserve, "redeem", own, ATTACKER, ATTACKER)
    way, shares = r.randrange(5), play.floeth()
    if way == 0:
        play.do(m.pair, "sell", shares, 0)
    elif way == 1:
        play.do(m.reserve, "sell", shares, 0)
    elif way == 2 and (ticket := play.do(m.queue, "request", shares, ATTACKER)):
        m.tickets.append(ticket)
        if r.random() < 0.5:
            play.do(m.reserve, "sell_ticket", ticket, 0)
    elif way == 3:
        play.do(m.pool, "redeem", shares, ATTACKER, ATTACKER)


def change_rate(play: Play) -> None:
    """Let a report, or a proven slashing, change the rate: reward, loss, a pending loss raised, released or settled."""
    m, r = play.market, play.random
    pending, outside = m.ask(m.pool, "pending_loss"), m.ask(m.pool, "outside")
    way = r.randrange(5)
    try:
        if way == 0:
            m.protocol.report(gain=int(ETHER * r.random()), pending_loss=pending)
        elif way == 1:
            m.protocol.report(gain=-int(outside * 10 ** r.uniform(-4, -0.5)), pending_loss=pending)
        elif way == 2:
            m.protocol.raise_pending_loss(int(outside * 10 ** r.uniform(-4, -0.7)) // GWEI)
        elif way == 3:
            m.protocol.report()
        else:
            m.protocol.report(gain=-pending)
    except RevertError as error:
        play.steps.append(f"({error})")


def donation(play: Play) -> None:
    """Give to a contract what its books might count, beside own holdings, and let somebody join."""
    m, r = play.market, play.random
    enter(play, play.size())
    wei = play.size() // 10
    way = r.randrange(6)
    if way < 2:
        target = (m.pair, m.reserve)[way]
        before = m.revm.get_balance(ATTACKER)
        m.revm.set_balance(ATTACKER, max(before - wei, 0))
        m.evm.force(target, min(wei, before))
        play.steps.append(f"[force {wei} into {target.kind}]")
    elif way < 4:
        play.do(m.pool, "transfer", (m.pair, m.reserve)[way - 2], play.stake(wei))
    elif way == 4:
        play.do(m.pair, "transfer", (m.pair, m.gauge)[r.randrange(2)], play.lp() // 2)
    else:
        if ticket := play.do(m.queue, "request", play.stake(wei), ATTACKER):
            play.do(m.queue, "transferFrom", ATTACKER, m.reserve, ticket)
    if r.random() < 0.5:
        play.do(m.pair, "collect")
    joins(play)
    take_out(play)


def joins(play: Play) -> None:
    """Let a victim provide to pair or reserve; to a pair only where its price is fair."""
    m, r = play.market, play.random
    wei = int(m.liquidity * 10 ** r.uniform(-2, 0))
    try:
        if r.random() < 0.5:
            play.victim(lambda: m.send(VICTIM, m.reserve, "deposit", wei, VICTIM, value=wei), "victim provides")
        elif m.books()[0] and m.fair():
            eth, books = m.books()
            shares = m.shares_for(wei)
            play.victim(
                lambda: m.send(VICTIM, m.pair, "add_liquidity", shares, 0, value=shares * eth // books),
                "victim provides",
            )
    except Refused:
        play.steps.append("[victim refuses]")


def first_depositor(play: Play) -> None:
    """Be the first in a new pair and a new reserve, leave little behind, make it dear, and let a victim follow."""
    m, r = play.market, play.random
    old = m.pair, m.reserve
    m.pair, m.reserve = m.new_pair, m.new_reserve
    wei = int(ETHER * 10 ** r.uniform(-1.3, 0.5))
    if play.do(m.pair, "add_liquidity", play.stake(wei), 0, value=int(wei * r.uniform(0.4, 2.5))):
        play.block(always=True)
        play.do(m.pair, "remove_liquidity", play.lp() - r.choice((0, 1, 10**6)), 0, 0)
        for _ in range(r.randrange(4)):
            play.do(m.pair, "buy", 0, value=wei)
            play.do(m.pair, "sell", play.floeth(), 0)
    if play.do(m.reserve, "deposit", wei, ATTACKER, value=wei):
        play.do(
            m.reserve, "redeem", m.ask(m.reserve, "balanceOf", ATTACKER) - r.choice((0, 1, 10**6)), ATTACKER, ATTACKER
        )
        play.do(m.reserve, "sell", min(play.stake(wei), 10**9), 0)
        m.evm.force(m.reserve, wei)
    joins(play)
    if r.random() < 0.5:
        play.event(lambda: m.travel(DAY), "a day")
    take_out(play)
    # What was left in the new ones is worth nothing outside them.
    final = play.holdings()
    play.gain += final.value - play.last
    m.pair, m.reserve = old
    play.last = play.holdings().value


VIEWS = (
    ("pair", "virtual_price"), ("pair", "price"), ("pair", "balances"), ("reserve", "totalAssets"),
    ("pool", "exit_rate"), ("pool", "entry_price"), ("gauge", "total_staked"),
)  # fmt: skip


def read_only(play: Play) -> None:
    """Read prices while ETH arrives, and try to trade then: a view says what is true afterwards or nothing at all."""
    m, r = play.market, play.random
    wallet, wei = m.wallet, play.size()
    play.event(lambda: m.try_(VICTIM, m.pool, "deposit", wei, wallet, value=wei), "somebody stakes")
    try:
        shares = m.ask(m.pool, "balanceOf", wallet)
        m.pair.add_liquidity(shares // 2, 0, sender=wallet, value=0)
    except RevertError:
        pass
    play.block(always=True)
    name, view = r.choice(VIEWS)
    target = getattr(m, name)
    trades = r.random() < 0.3
    if trades:
        target = m.pair
        payload = m.pair.encode("buy", 0)
    else:
        payload = target.encode(view)
    wallet.react_with(target, payload, wei // 100 if trades else 0)
    way = r.randrange(4)
    try:
        if way == 0:
            m.pair.sell(m.ask(m.pool, "balanceOf", wallet) // 2, 0, sender=wallet)
        elif way == 1:
            m.pair.remove_one(m.ask(m.pair, "balanceOf", wallet), True, 0, sender=wallet)
        elif way == 2:
            m.pair.remove_liquidity(m.ask(m.pair, "balanceOf", wallet), 0, 0, sender=wallet)
        else:
            m.reserve.sell(m.ask(m.pool, "balanceOf", wallet) // 2, 0, sender=wallet)
    except RevertError as error:
        play.steps.append(f"({error})")
        return
    for event in m.evm.events(wallet, "Reacted"):
        play.acted = True
        play.steps.append(f"{view} inside {way}: {event.fields['success']}")
        if event.fields["success"] and not trades:
            if event.fields["answer"] != m.evm.call(target, view, payload, static=True):
                play.extra += 1
        elif event.fields["success"] and target is (m.reserve if way == 3 else m.pair):
            play.extra += 1


def imbalance(play: Play) -> None:
    """Push the pair far from balance with liquidity of his own inside, and leave by one side."""
    m, r = play.market, play.random
    if r.random() < 0.7:
        enter(play, play.size())
        play.block()
    wei = int(m.liquidity * 10 ** r.uniform(-1, 1))
    if r.random() < 0.5:
        got = play.do(m.pair, "buy", 0, value=wei)
        leave(play)
        play.do(m.pair, "sell", got, 0)
    else:
        got = play.do(m.pair, "sell", play.stake(wei), 0)
        leave(play)
        play.do(m.pair, "buy", 0, value=got)
    leave(play)


def dust(play: Play) -> None:
    """Do something small again and again, so that a wei gained by a rounding would add up."""
    m, r = play.market, play.random
    kind = r.randrange(4)
    if kind in (0, 3):
        play.do(m.reserve, "deposit", ETHER, ATTACKER, value=ETHER)
    if kind in (1, 3):
        play.stake(ETHER)
    if kind in (2, 3):
        play.provide(ETHER)
        play.block()
    actions = ((5, 6, 6), (0, 1), (2, 3, 4), tuple(r.sample(range(8), 3)))[kind]
    for _ in range(12):
        act(play, r.choice(actions), int(10 ** r.uniform(0, 6)))
    if kind == 0:
        play.do(m.reserve, "redeem", m.ask(m.reserve, "balanceOf", ATTACKER), ATTACKER, ATTACKER)
    elif r.random() < 0.5:
        take_out(play)


def act(play: Play, action: int, amount: int) -> None:
    """Do one thing with about `amount`."""
    m, r = play.market, play.random
    if action == 0:
        play.do(m.pair, "buy", 0, value=amount)
    elif action == 1:
        play.do(m.pair, "sell", min(amount, play.floeth()), 0)
    elif action == 2:
        play.do(m.pair, "add_liquidity", min(amount, play.floeth()) * r.randrange(2), 0, value=amount * r.randrange(2))
    elif action == 3:
        play.do(m.pair, "remove_liquidity", min(amount, play.lp()), 0, 0)
    elif action == 4:
        play.do(m.pair, "remove_one", min(amount, play.lp()), r.randrange(2), 0)
    elif action == 5:
        play.do(m.reserve, "deposit", amount, ATTACKER, value=amount)
    elif action == 6:
        own = m.ask(m.reserve, "balanceOf", ATTACKER)
        play.do(m.reserve, r.choice(("redeem", "withdraw")), min(own, amount), ATTACKER, ATTACKER)
    elif action == 7:
        play.do(m.reserve, "sell", min(amount, play.floeth()), 0)
    elif action == 8:
        play.do(m.reserve, "stake", ATTACKER, 0, value=amount)
    elif action == 9:
        play.stake(amount)
    elif action == 10:
        play.do(m.reserve, "queue_exits")
    elif action == 11 and (ticket := play.do(m.queue, "request", min(amount, play.floeth()), ATTACKER)):
        m.tickets.append(ticket)
    elif action == 12 and m.tickets:
        play.do(m.reserve, "sell_ticket", r.choice(m.tickets), 0)
    elif action == 13:
        play.do(m.gauge, "stake", min(amount, play.lp()))
    elif action == 14:
        play.do(m.gauge, "emergency_exit")


def combination(play: Play) -> None:
    """Anything in any order, with time, reports and victims between."""
    m, r = play.market, play.random
    sell = r.random() < 0.5
    wei = m.bearable(sell, int(m.liquidity * 10 ** r.uniform(-3, 0)))
    least = m.quote(sell, wei) if wei else 0
    for _ in range(r.randrange(3, 9)):
        what = r.random()
        if what < 0.07:
            play.block(always=True)
            wei = 0  # the order has run out
        elif what < 0.14:
            play.event(lambda: change_rate(play), "report")
            wei = 0
        elif what < 0.2:
            joins(play)
        elif what < 0.3 and wei:
            try:
                play.victim(lambda: m.order(sell, wei, least), "victim trades")  # noqa: B023 - called at once
                wei = 0
            except Refused:
                play.steps.append("[victim refuses]")
        else:
            act(play, r.randrange(15), play.size())
    take_out(play)


STRATEGIES: dict[str, Callable[[Play], None]] = {
    "sandwich": sandwich,
    "just-in-time, pair": just_in_time_pair,
    "just-in-time, reserve": just_in_time_reserve,
    "just-in-time, gauge": just_in_time_gauge,
    "rate update": rate_update,
    "donation": donation,
    "first depositor": first_depositor,
    "read-only reentrancy": read_only,
    "imbalance": imbalance,
    "dust": dust,
    "combination": combination,
}


# --- running ---


@dataclass
class Tally:
    """What came of it, by strategy."""

    played: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STRATEGIES, 0))
    acted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STRATEGIES, 0))
    """Of these, something that he did succeeded."""
    best: dict[str, int] = field(default_factory=dict)
    """Largest profit in wei of those."""
    impact: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STRATEGIES, 0))
    profits: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count in what another worker did."""
        for name in STRATEGIES:
            self.played[name] += other.played[name]
            self.acted[name] += other.acted[name]
            self.impact[name] = max(self.impact[name], other.impact[name])
            found = [tally.best[name] for tally in (self, other) if name in tally.best]
            if found:
                self.best[name] = max(found)
        self.profits += other.profits

    def table(self) -> str:
        """Return one line for each strategy."""
        lines = [f"{'strategy':24}{'played':>9}{'acted':>9}{'best result, wei':>30}{'price impact, wei':>30}"]
        for name in STRATEGIES:
            best = f"{self.best[name]:,}" if name in self.best else "-"
            lines.append(f"{name:24}{self.played[name]:>9,}{self.acted[name]:>9,}{best:>30}{self.impact[name]:>30,}")
        return "\n".join(lines)


def attack(market: Market, seed: int, tally: Tally) -> None:
    """Play every strategy in the market that `seed` makes."""
    with market.undone():
        market.draw(Random(f"market {seed}"))
        for name, strategy in STRATEGIES.items():
            play = Play(market, Random(f"{name} {seed}"))
            with market.undone():
                play.begin()
                strategy(play)
                profit = play.end()
            tally.played[name] += 1
            if play.acted:
                tally.acted[name] += 1
                tally.best[name] = max(tally.best.get(name, profit), profit)
            tally.impact[name] = max(tally.impact[name], play.impact)
            if profit > 0:
                tally.profits.append(f"market {seed}, {name}: {profit:,} wei\n    " + "\n    ".join(play.steps))


@cache
def _market() -> Market:
    return Market()


def work(numbers: tuple[int, int, int]) -> Tally:
    """Attack the markets of a seed from a first to a last, which is left out."""
    seed, first, last = numbers
    tally = Tally()
    for number in range(first, last):
        attack(_market(), seed * 10**6 + number, tally)
    return tally


def main(arguments: list[str] | None = None) -> int:
    """Run it from the command line; 1 when the attacker gained."""
    parser = argparse.ArgumentParser(description="an attacker in random markets of the liquidity room")
    parser.add_argument("--markets", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--tolerance", type=int, help="ppm less than quoted that victims accept: what that costs them")
    options = parser.parse_args(arguments)
    global TOLERANCE
    TOLERANCE = options.tolerance
    build.load_many(CONTRACTS)
    started, tally, step = time.monotonic(), Tally(), 50
    chunks = [(options.seed, first, min(first + step, options.markets)) for first in range(0, options.markets, step)]
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        for done, part in enumerate(pool.imap_unordered(work, chunks), 1):
            tally.add(part)
            if sys.stderr.isatty() or done % 10 == 0 or done == len(chunks):
                print(
                    f"{min(done * step, options.markets):,} markets, {time.monotonic() - started:.0f} s",
                    file=sys.stderr,
                )
    print(tally.table())
    for profit in tally.profits[:10]:
        print(profit)
    print(f"{len(tally.profits)} profits in {options.markets:,} markets, {time.monotonic() - started:.0f} s")
    return 1 if tally.profits else 0


if __name__ == "__main__":
    sys.exit(main())
