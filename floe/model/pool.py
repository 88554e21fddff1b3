"""The pool: share token, ETH vault and accounting.

Letters as in the design: S all shares, A all ETH that backs them, O the part of A outside the pool, P pending loss,
D deficit, L locked rewards; V = A - L the entry value, X = V - P the exit value. Amounts are wei, share amounts have
18 decimals, times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from floe.model.basics import (
    BPS,
    DAY,
    ETHER,
    GWEI,
    LOCKED,
    OVERFLOW,
    PPM,
    U80,
    U96,
    UNLIMITED,
    YEAR,
    ZERO,
    Address,
    Chain,
    Revert,
    ceil_div,
    word,
)
from floe.model.parameters import Parameters
from floe.model.tokens import ADMIN_ROLE, ORACLE_ROLE, PAUSER_ROLE, REGISTRY_ROLE, Allowances, Roles, Signature
from floe.model.vault import Vault, WithdrawalVault

if TYPE_CHECKING:
    from floe.model.queue import Queue

LOSSY = 1
DEFICIT = 2
"""Flags in the word "totals": deposits are refused; D > 0."""

PAUSE_DEPOSIT = 1
PAUSE_FULFIL = 2
PAUSE_INSTANT = 4
"""Functions that a pauser may stop, as bits."""

MAX_PAUSE = 14 * DAY
MAX_CEILING_GWEI = 2**96 // GWEI
MIN_SEED = GWEI
MIN_FULFIL = ETHER
ROUNDS = 16
"""Steps in the search for the gross amount of an instant exit."""


class Report(NamedTuple):
    """What the oracle says about a reference slot. Wei, but for the tail and the last."""

    cl: int
    """Balances of our validators and pending deposits for our keys."""
    deposited_at_ref: int
    """Ever sent to the deposit contract by then."""
    withdrawn_at_ref: int
    """Ever credited to the withdrawal vault by the consensus layer by then."""
    donated_at_ref: int
    """Ever received by the withdrawal vault beyond that by then."""
    queue_tail_at_ref: int
    """Shares ever queued by then."""
    pending_loss: int
    """Known to be lost and still inside `cl`."""
    raised_at_ref: int
    """Gwei by which `raise_pending_loss` had ever raised it by then."""


@dataclass(slots=True)
class Pool:
    """State and rules of the pool.

    A method that raises `Revert` has changed nothing, unless it sends ETH: a send is last, and when it is refused
    whoever called the model goes back to the state before (`Protocol.attempt`).
    """

    chain: Chain
    address: Address
    withdrawal_vault: WithdrawalVault
    execution_vault: Vault
    parameters: Parameters
    fee_recipient: Address
    ceiling_gwei: int
    """Deposits may raise A up to this many Gwei."""
    roles: Roles
    allowances: Allowances
    queue: Queue = field(init=False, repr=False)
    refused: frozenset[Address] = field(init=False)
    """Shares or ETH sent there would be lost, and the queue's balance is the number of shares waiting."""

    shares: int = 0
    assets: int = 0
    locked_at_start: int = 0
    stream_start: int = 0
    stream_end: int = 0
    outside: int = 0
    pending_loss: int = 0
    deficit: int = 0
    report_at: int = 0
    instant_allowance: int = 0
    """What may still leave through instant exits before the next report."""
    waiting: int = 0
    """Shares in the queue that are not paid yet."""
    eligible: int = 0
    """The first of them, that may be paid now."""
    stale_at: int = 0
    """When reports were last declared to have stopped; 0 if never."""
    deposited: int = 0
    """Ever sent to validators."""
    withdrawn: int = 0
    """Ever swept of what validators paid back."""
    raised_gwei: int = 0
    """By how much the registry ever raised the pending loss: below 2^64, which is 150 times all ETH."""
    donated: int = 0
    """Ever swept of what others gave to the withdrawal vault."""
    deposit_paused_until: int = 0
    fulfil_paused_until: int = 0
    instant_paused_until: int = 0
    balances: dict[Address, int] = field(default_factory=dict)
    """Shares by holder; those in the queue are `waiting` instead."""
    entered: bool = False
    """The pool waits for a call of its own to return: nobody may enter."""

    def construct(self, seed: int, queue: Queue) -> None:
        """Let the deployer pay for shares that nobody owns, so S > 0 for ever."""
        if seed < MIN_SEED:
            raise Revert("seed: too small")
        self.parameters.check()
        self.queue = queue
        self.refused = frozenset((ZERO, self.address, queue.address))
        self.shares = self.assets = self.balances[self.address] = seed
        self.report_at = self.chain.now

    # --- values ---

    def locked(self) -> int:
        """L: rewards not streamed yet (rounded down)."""
        end, now = self.stream_end, self.chain.now
        return 0 if now >= end else self.locked_at_start * (end - now) // (end - self.stream_start)

    def entry_value(self) -> int:
        """V = A - L: what all shares cost who enters."""
        return self.assets - self.locked()

    def exit_value(self) -> int:
        """X = A - L - P, at least 0: what all shares pay who leaves."""
        return max(self.assets - self.locked() - self.pending_loss, 0)

    def buffer(self) -> int:
        """Part of A inside the pool contract: A - O, never stored."""
        return self.assets - self.outside

    def free(self) -> int:
        """Buffer beyond what all waiting exits need at the exit price (the queue comes first)."""
        needed = ceil_div(self.waiting * self.exit_value(), self.shares)
        return max(self.assets - self.outside - needed, 0)

    def target(self) -> int:
        """Part of A that should lie in the buffer beyond that."""
        return self.assets * self.parameters.target_bps // BPS

    def stakeable(self) -> int:
        """Most that may go to validators now: nothing while deposits are paused."""
        return 0 if self.chain.now < self.deposit_paused_until else max(self.free() - self.target(), 0)

    def lossy(self) -> bool:
        """Nobody should buy into a known loss of more than 1 % of A unawares."""
        return 100 * self.pending_loss > self.assets

    def entry_price(self) -> tuple[int, int]:
        """V and S: the entry rate as an exact fraction. Asked by other contracts."""
        self._enter()
        return self.entry_value(), self.shares

    def entry_rate(self) -> int:
        """Wei per 10^18 shares when entering (rounded down)."""
        return self.entry_value() * ETHER // self.shares

    def exit_rate(self) -> int:
        """Wei per 10^18 shares when leaving (rounded down). Asked by other contracts."""
        self._enter()
        return self.exit_value() * ETHER // self.shares

    # --- ERC-4626 views ---

    def balance_of(self, owner: Address) -> int:
        """Shares of `owner`; the queue's are those that wait."""
        return self.waiting if owner == self.queue.address else self.balances.get(owner, 0)

    def convert_to_shares(self, assets: int) -> int:
        """Shares for `assets` (rounded down)."""
        value = self.entry_value()
        if value == 0:
            raise Revert("pool: no value")
        return word(assets * self.shares) // value

    def convert_to_assets(self, shares: int) -> int:
        """Wei for `shares` (rounded down)."""
        return word(shares * self.entry_value()) // self.shares

    def preview_mint(self, shares: int) -> int:
        """Price of `shares` (rounded up)."""
        return ceil_div(shares * self.entry_value(), self.shares)

    def room(self, receiver: Address) -> int:
        """Wei up to the deposit ceiling; 0 while deposits for `receiver` are refused."""
        closed = self.chain.now < self.deposit_paused_until or self.lossy() or self.entry_value() == 0
        if closed or receiver in self.refused:
            return 0
        return max(self.ceiling_gwei * GWEI - self.assets, 0)

    def max_deposit(self, receiver: Address) -> int:
        """Most wei that `receiver` could be given shares for now: shares stay below 2^96, and there is at least one."""
        room, value = self.room(receiver), self.entry_value()
        if room == 0:
            return 0
        most = min(room, ((U96 - self.shares + 1) * value - 1) // self.shares)
        return most if most * self.shares >= value else 0

    def max_mint(self, receiver: Address) -> int:
        """Most shares that `receiver` could be given now."""
        room = self.room(receiver)
        return min(self.convert_to_shares(room), U96 - self.shares) if room else 0

    def max_redeem(self, owner: Address) -> int:
        """Most shares that `owner` could leave with now by instant exit."""
        limit, value = self._instant_limit(), self.exit_value()
        if limit == 0 or value == 0:
            return 0
        most = min(self.balances.get(owner, 0), ((limit + 1) * self.shares - 1) // value)
        return most if self.preview_redeem(most) else 0

    def max_withdraw(self, owner: Address) -> int:
        """Most wei that `owner` could take out by instant exit: what `max_redeem` would pay."""
        return self.preview_redeem(self.max_redeem(owner))

    def preview_redeem(self, shares: int) -> int:
        """Wei that an instant exit of `shares` pays, limits aside."""
        gross = word(shares * self.exit_value()) // self.shares
        return gross - self._instant_fee(gross)

    def preview_withdraw(self, assets: int) -> int:
        """Shares that an instant exit burns to pay `assets`, limits aside (rounded up)."""
        value = self.exit_value()
        if value == 0:
            raise Revert("pool: no value")
        return ceil_div(self._gross_of(assets) * self.shares, value)

    # --- entering ---

    def deposit(self, sender: Address, value: int, assets: int, receiver: Address, min_shares: int = 0) -> int:
        """Stake exactly the `value` sent for `receiver`; returns the shares v·S // V."""
        self._enter()
        if assets != value:
            raise Revert("deposit: value differs")
        shares = self.convert_to_shares(value)
        if shares < min_shares:
            raise Revert("slippage: too few shares")
        self._issue(sender, receiver, value, shares)
        return shares

    def receive(self, sender: Address, value: int) -> None:
        """Plain ETH stakes for who sends it."""
        self.deposit(sender, value, value, sender)

    def mint(self, sender: Address, value: int, shares: int, receiver: Address) -> int:
        """Buy exactly `shares` for ⌈shares·V / S⌉, give back the rest of `value`; returns the price."""
        self._enter()
        cost = self.preview_mint(shares)
        if cost == 0 < shares:
            raise Revert("pool: no value")
        if value < cost:
            raise Revert("mint: value too low")
        self._issue(sender, receiver, cost, shares)
        if value > cost:
            self.chain.move(sender, self.address, value - cost)
            self._pay(sender, value - cost)
        return cost

    def _issue(self, sender: Address, receiver: Address, cost: int, shares: int) -> None:
        if receiver in self.refused:
            raise Revert("receiver: refused")
        if shares == 0:
            raise Revert("deposit: zero shares")
        if self.lossy():
            raise Revert("deposit: loss pending")
        if self.chain.now < self.deposit_paused_until:
            raise Revert("deposit: paused")
        if self.assets + cost > self.ceiling_gwei * GWEI:
            raise Revert("deposit: over the ceiling")
        if self.shares + shares > U96:
            raise Revert("pool: total over 96 bits")
        self.chain.move(sender, self.address, cost)
        self.assets += cost
        self.shares += shares
        self.balances[receiver] = self.balances.get(receiver, 0) + shares

    # --- the instant exit ---

    def redeem(self, sender: Address, shares: int, receiver: Address, owner: Address, min_assets: int = 0) -> int:
        """Burn exactly `shares` of `owner` at the exit price; returns the wei paid, after the fee."""
        self._enter()
        gross = word(shares * self.exit_value()) // self.shares
        net = gross - self._instant_fee(gross)
        if net == 0:
            raise Revert("instant: zero assets")
        if net < min_assets:
            raise Revert("slippage: too few assets")
        self._leave(sender, receiver, owner, shares, gross, net)
        return net

    def withdraw(
        self, sender: Address, assets: int, receiver: Address, owner: Address, max_shares: int = UNLIMITED
    ) -> int:
        """Pay exactly `assets`; returns the shares burnt (rounded up). What rounding leaves over is fee."""
        self._enter()
        if assets == 0:
            raise Revert("instant: zero assets")
        if assets > self._instant_limit():
            raise Revert("instant: over the limit")
        value = self.exit_value()
        shares = ceil_div(self._gross_of(assets) * self.shares, value)
        if shares > max_shares:
            raise Revert("slippage: too many shares")
        self._leave(sender, receiver, owner, shares, shares * value // self.shares, assets)
        return shares

    def _instant_limit(self) -> int:
        """Most that one instant exit may take out of A now, fee included."""
        now = self.chain.now
        stale = now >= self.report_at + self.parameters.stale_after
        if now < self.instant_paused_until or self.pending_loss > 0 or stale:
            return 0
        return min(self.free(), self.instant_allowance)

    def _instant_price_ppm(self, free: int) -> int:
        """Fee rate of the next wei while `free` is there: rises linearly while it falls from the target to nothing."""
        p = self.parameters
        target = self.target()
        if free >= target:
            return p.instant_fee_min
        return p.instant_fee_max - (p.instant_fee_max - p.instant_fee_min) * free // target

    def _instant_fee_ppm(self, free: int, gross: int) -> int:
        """Fee rate of taking `gross` > 0 out of `free`: the mean price along the way.

        What lies above the target goes at the least price, the rest at the mean of the prices at both its ends
        (rounded up). So splitting an exit gains next to nothing.
        """
        above = min(max(free - self.target(), 0), gross)
        sloped = gross - above
        start = free - above
        ends = self._instant_price_ppm(start) + self._instant_price_ppm(max(start - sloped, 0))
        return ceil_div(2 * above * self.parameters.instant_fee_min + sloped * ends, 2 * gross)

    def _instant_fee(self, gross: int) -> int:
        """Fee on taking out `gross` (rounded up)."""
        return ceil_div(gross * self._instant_fee_ppm(self.free(), gross), PPM) if gross else 0

    def _gross_of(self, assets: int) -> int:
        """Return the least gross amount of which at least `assets` is left after the fee.

        That is the least g with g >= ⌈assets·PPM / (PPM - rate(g))⌉. The right side never falls as g grows, so
        climbing from below meets the least one first, in far fewer than `ROUNDS` steps: each is at most a twentieth of
        the one before it.
        """
        if assets == 0:
            return 0
        free = self.free()
        gross = assets
        for _ in range(ROUNDS):
            enough = ceil_div(assets * PPM, PPM - self._instant_fee_ppm(free, gross))
            if enough == gross:
                return gross
            gross = enough
        raise Revert("instant: no convergence")

    def _leave(self, sender: Address, receiver: Address, owner: Address, shares: int, gross: int, net: int) -> None:
        """Burn `shares`, pay `net`; the fee, gross - net, stays with the holders through the stream."""
        if gross > self._instant_limit():
            raise Revert("instant: over the limit")
        if receiver in self.refused:
            raise Revert("receiver: refused")
        self.allowances.check(owner, sender, shares)
        if self.balances.get(owner, 0) < shares:
            raise Revert("balance: too low")
        self.allowances.spend(owner, sender, shares)
        self.balances[owner] -= shares
        self._burn(shares, net)
        self.instant_allowance -= gross
        self._stream_more(gross - net, self.parameters.period)
        self._pay(receiver, net)

    def _stream_more(self, amount: int, period: int) -> None:
        """Lock `amount` more. The time left moves towards `period` by its part of the whole, and never down."""
        if amount == 0:
            return
        now, locked = self.chain.now, self.locked()
        rest = max(self.stream_end - now, 0)
        total = locked + amount
        if rest < period:
            rest += amount * (period - rest) // total
        self.stream_end = now + rest
        self.stream_start = now
        self.locked_at_start = total

    def _burn(self, shares: int, paid: int) -> None:
        """Shares leave with `paid` wei, and with their part (rounded down) of P and D.

        Their part of P is settled: it leaves P, O and A together, so nobody's price moves.
        """
        borne = self.pending_loss * shares // self.shares
        self.pending_loss -= borne
        self.outside -= borne
        self.assets -= paid + borne
        self.deficit -= self.deficit * shares // self.shares
        self.shares -= shares

    # --- ERC-20 ---

    def approve(self, sender: Address, spender: Address, amount: int) -> bool:
        """Let `spender` move up to `amount` shares of the caller."""
        self._enter()
        return self.allowances.approve(sender, spender, amount)

    def permit(self, owner: Address, spender: Address, amount: int, deadline: int, signature: Signature) -> None:
        """Let `spender` move up to `amount` shares of `owner`, who signed that. Anyone may bring it."""
        self._enter()
        self.allowances.permit(owner, spender, amount, deadline, signature)

    def transfer(self, sender: Address, receiver: Address, shares: int) -> bool:
        """Move `shares` of the caller."""
        self._enter()
        self._move(sender, receiver, shares)
        return True

    def transfer_from(self, sender: Address, owner: Address, receiver: Address, shares: int) -> bool:
        """Move `shares` of `owner` out of the caller's allowance."""
        self._enter()
        self.allowances.check(owner, sender, shares)
        self._move(owner, receiver, shares)
        self.allowances.spend(owner, sender, shares)
        return True

    def _move(self, owner: Address, receiver: Address, shares: int) -> None:
        if receiver in self.refused:
            raise Revert("receiver: refused")
        balances = self.balances
        balance = balances.get(owner, 0)
        if balance < shares:
            raise Revert("balance: too low")
        balances[owner] = balance - shares
        balances[receiver] = balances.get(receiver, 0) + shares

    # --- the pool's side of the queue ---

    def lock_for_exit(self, sender: Address, owner: Address, shares: int) -> None:
        """Move `shares` of `owner` to the queue. Only the queue may ask."""
        self._enter()
        if sender != self.queue.address:
            raise Revert("caller: not the queue")
        balance = self.balances.get(owner, 0)
        if balance < shares:
            raise Revert("balance: too low")
        self.balances[owner] = balance - shares
        self.waiting += shares

    def fulfil(self, max_assets: int = UNLIMITED) -> tuple[int, int]:
        """Pay eligible exits at the exit price of now; returns (shares burnt, wei paid).

        n = min(eligible, min(buffer, max_assets)·S // X) shares for n·X // S. What neither empties the eligible line
        nor moves 1 ETH is refused, so points cannot be spammed.
        """
        self._enter()
        if self.chain.now < self.fulfil_paused_until:
            raise Revert("fulfil: paused")
        value = self.exit_value()
        if value == 0:
            raise Revert("pool: no value")
        shares = min(self.eligible, min(self.buffer(), max_assets) * self.shares // value)
        if shares == 0:
            raise Revert("fulfil: nothing to pay")
        paid = shares * value // self.shares
        if shares < self.eligible and paid < MIN_FULFIL:
            raise Revert("fulfil: too little")
        self.queue.settle(self.address, shares, paid)
        self.chain.move(self.address, self.queue.address, paid)
        self._burn(shares, paid)
        self.waiting -= shares
        self.eligible -= shares
        return shares, paid

    def declare_stale(self) -> None:
        """When reports have stopped, every waiting exit becomes eligible; again after each `stale_after`.

        What lies in the withdrawal vault comes into the buffer, booked as principal, so that exits can be paid.
        """
        self._enter()
        if self.chain.now < max(self.report_at, self.stale_at) + self.parameters.stale_after:
            raise Revert("report: not stale")
        swept = min(self.chain.ether[self.withdrawal_vault.address], self.outside - self.pending_loss)
        if swept:
            self.withdrawal_vault.sweep(self.address, swept)
        self.outside -= swept
        self.withdrawn += swept
        self.stale_at = self.chain.now
        self.eligible = self.waiting

    # --- validators and reports ---

    def send_to_validators(self, sender: Address, amount: int) -> None:
        """Let the registry take buffer beyond the target."""
        self._enter()
        self.roles.check(REGISTRY_ROLE, sender)
        if amount > self.stakeable():
            raise Revert("stake: over the limit")
        self.outside += amount
        self.deposited += amount
        self._pay(sender, amount)

    def raise_pending_loss(self, sender: Address, gwei: int) -> None:
        """Let the registry, which has seen a slashing proven, count `gwei` Gwei more of O as lost; at most all of it.

        It holds until a report whose reference slot comes later says how much it is.
        """
        self._enter()
        self.roles.check(REGISTRY_ROLE, sender)
        raised = min(gwei, (self.outside - self.pending_loss) // GWEI)
        self.pending_loss += raised * GWEI
        self.raised_gwei += raised

    def receive_from_vault(self, sender: Address) -> None:
        """Take what a report sweeps; refuse everybody else."""
        if sender not in (self.withdrawal_vault.address, self.execution_vault.address):
            raise Revert("caller: not a vault")

    def report(self, sender: Address, r: Report) -> None:
        """Book what happened to the validators up to the reference slot: losses whole, gains metered."""
        self._enter()
        self.roles.check(ORACLE_ROLE, sender)
        if r.deposited_at_ref > self.deposited:
            raise Revert("report: deposits ahead of pool")
        if r.raised_at_ref > self.raised_gwei:
            raise Revert("report: raises ahead of pool")
        now = self.chain.now
        locked = self.locked()
        value = self.assets - locked

        # 1, 2: the validators' result, a signed number. What came back is negative when `declare_stale` swept more than
        # had been credited by the reference slot: then it is still inside `cl`.
        came_back = r.withdrawn_at_ref - self.withdrawn
        outside_now = r.cl + self.deposited - r.deposited_at_ref
        if max(r.withdrawn_at_ref, outside_now, outside_now + came_back) >= 2**255:
            raise Revert(OVERFLOW)
        result = outside_now + came_back - self.outside

        # What was raised after the reference slot is not known to this report, and stays pending.
        pending_loss = word(r.pending_loss + (self.raised_gwei - r.raised_at_ref) * GWEI)

        # While a loss is pending, what validators brought goes against it first: the part of those who left is out of
        # O already, and is neither a gain nor pending again for those who stay.
        covered = min(max(result, 0), pending_loss)

        # 3: of a gain, only what the rise limit leaves room for; a loss makes room. ETH that came back and is not
        # recognised yet stays in the vault: O covers all that is swept.
        room = self.assets * self.parameters.rise_bps * (now - self.report_at) // (BPS * YEAR)
        recognised = max(min(result - covered, room), -self.outside)
        swept = min(max(came_back, 0), self.outside + recognised)
        outside = self.outside + recognised - swept
        room -= recognised
        if r.donated_at_ref < self.donated:
            raise Revert("report: donations fell")
        tips = min(self.chain.ether[self.execution_vault.address], room)
        in_vault = max(self.chain.ether[self.withdrawal_vault.address] - swept, 0)
        gifts = min(r.donated_at_ref - self.donated, in_vault, room - tips)
        surplus = min(self.chain.ether[self.address] - self.buffer(), room - tips - gifts)
        gain = recognised + tips + gifts + surplus

        # 4, 5: a loss adds to the deficit. A gain repays it without fee; the fee on the rest is paid in new shares at
        # the price of now.
        deficit, fee, fee_shares = self.deficit, 0, 0
        if gain < 0:
            deficit -= gain
        else:
            repaid = min(deficit, gain)
            deficit -= repaid
            fee = (gain - repaid) * self.parameters.fee_bps // BPS
            fee_shares = fee * self.shares // value if value else 0
            if fee_shares == 0:
                fee = 0
        assets = self.assets + gain
        shares = self.shares + fee_shares
        if assets > U96 or shares > U96 or deficit > U96:
            raise Revert("pool: total over 96 bits")

        if self.queue.entered:
            raise Revert(LOCKED)
        filled = self.queue.filled()
        if r.queue_tail_at_ref > filled + self.waiting:
            raise Revert("report: tail ahead of queue")
        if swept + gifts:
            self.withdrawal_vault.sweep(self.address, swept + gifts)
        if tips:
            self.execution_vault.sweep(self.address, tips)

        # 6: a loss eats locked rewards first. A gain streams, over a period or, when it took longer to earn, over that.
        if gain < 0:
            self.locked_at_start = locked - min(locked, -gain)
            self.stream_start, self.stream_end = now, max(self.stream_end, now)
        else:
            self._stream_more(gain - fee, max(self.parameters.period, now - self.report_at))
        self.shares, self.assets, self.outside, self.deficit = shares, assets, outside, deficit
        if fee_shares:
            self.balances[self.fee_recipient] = self.balances.get(self.fee_recipient, 0) + fee_shares
        # 7. Only what is outside can still be lost.
        self.pending_loss = min(pending_loss - covered, outside)
        self.eligible = max(self.eligible, r.queue_tail_at_ref - filled)
        self.instant_allowance = min(assets * self.parameters.allowance_bps // BPS, U80)
        self.report_at = now
        self.withdrawn += swept
        self.donated += gifts

    # --- administration ---

    def set_parameters(self, sender: Address, parameters: Parameters) -> None:
        """Replace all live parameters, within their bounds."""
        self._enter()
        self.roles.check(ADMIN_ROLE, sender)
        parameters.check()
        self.parameters = parameters

    def set_deposit_ceiling(self, sender: Address, gwei: int) -> None:
        """Let deposits raise A up to `gwei` Gwei; 0 closes them."""
        self._enter()
        self.roles.check(ADMIN_ROLE, sender)
        if gwei > MAX_CEILING_GWEI:
            raise Revert("parameter: out of bounds")
        self.ceiling_gwei = gwei

    def set_fee_recipient(self, sender: Address, recipient: Address) -> None:
        """Send the fee shares of later reports to `recipient`."""
        self._enter()
        self.roles.check(ADMIN_ROLE, sender)
        if recipient in self.refused:
            raise Revert("receiver: refused")
        self.fee_recipient = recipient

    def pause(self, sender: Address, functions: int, until: int) -> None:
        """Stop functions until a time at most 14 days away; a time that has passed lets them go on."""
        self._enter()
        self.roles.check(PAUSER_ROLE, sender)
        if until > self.chain.now + MAX_PAUSE:
            raise Revert("pause: too long")
        if functions & PAUSE_DEPOSIT:
            self.deposit_paused_until = until
        if functions & PAUSE_FULFIL:
            self.fulfil_paused_until = until
        if functions & PAUSE_INSTANT:
            self.instant_paused_until = until

    # --- inside ---

    def _enter(self) -> None:
        if self.entered:
            raise Revert(LOCKED)

    def _pay(self, receiver: Address, amount: int) -> None:
        """Send wei, last of all, while nobody may enter."""
        self.entered = True
        taken = self.chain.send(self.address, receiver, amount)
        self.entered = False
        if not taken:
            raise Revert("ether: send failed")

    # --- the same state, as the contract packs it ---

    def words(self) -> tuple[int, ...]:
        """Return the words totals, stream, away, past, exits, flows, parameters, gifts, as `state()` does."""
        flags = (LOSSY if 100 * self.pending_loss > self.assets else 0) | (DEFICIT if self.deficit else 0)
        return (
            self.shares | self.assets << 96 | self.deposit_paused_until << 192 | flags << 232,
            self.locked_at_start | self.stream_start << 96 | self.stream_end << 136 | self.ceiling_gwei << 176,
            self.outside | self.pending_loss << 96 | self.fulfil_paused_until << 192,
            self.deficit | self.report_at << 96 | self.instant_allowance << 136 | self.instant_paused_until << 216,
            self.waiting | self.eligible << 96 | self.stale_at << 192,
            self.deposited | self.withdrawn << 96 | self.raised_gwei << 192,
            self.parameters.packed,
            self.donated,
        )
