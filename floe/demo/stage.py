"""What can happen in the demo, each as one method that sends the transactions and says in a line what happened.

Everything goes through Ape, as in any script of one's own: `contract.method(arguments, sender=account, value=wei)`.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import ape
from ape.exceptions import ContractLogicError

from floe.demo.beacon import Beacon
from floe.report.pictures import Sample
from floe.report.tables import eth

ETHER = 10**18
DAY = 86_400
HOUR = 3_600
BLOCK = 12
"""Seconds between blocks."""
REGISTRY_MINIMUM = 32 * ETHER
"""Less is not worth a deposit."""
KEEPER_MINIMUM = ETHER
"""Less is not worth a withdrawal: the next rewards will bring it."""


def wei(ether: str | int) -> int:
    """Return an amount in ETH as wei, exactly. Raises decimal.InvalidOperation for what is no number."""
    return int(Decimal(ether).scaleb(18))


class Stage:
    """The deployed protocol, the people, and the clock.

    `contracts` are Ape instances by name; `stakers`, `oracle`, `stranger`, `builder` and `donor` are Ape accounts.
    """

    def __init__(
        self, contracts: dict[str, Any], registry: Any, beacon: Beacon, stakers: list[Any], helpers: dict[str, Any]
    ) -> None:
        self.pool, self.queue, self.token, self.lens = (
            contracts[name] for name in ("FloePool", "WithdrawalQueue", "RebasingToken", "Lens")
        )
        self.vaults = contracts["WithdrawalVault"], contracts["ExecutionVault"]
        self.registry, self.beacon, self.stakers = registry, beacon, stakers
        self.oracle, self.stranger, self.builder, self.donor = (
            helpers[name] for name in ("oracle", "stranger", "builder", "donor")
        )
        self.chain = ape.networks.active_provider
        self.day = 0
        self.midnight = (self.chain.get_block("latest").timestamp // DAY + 1) * DAY
        """When day 1 begins."""
        self.gas: defaultdict[str, int] = defaultdict(int)
        """Wei that each account has paid for gas since the start."""
        self.spent: defaultdict[str, int] = defaultdict(int)
        """Wei that each account has sent along with its transactions, less what came back of it at once."""
        self.tickets: dict[str, list[int]] = defaultdict(list)
        """Tickets by a name that the story gives them."""
        self.gifts = 0
        self.tips = 0
        self.expected_loss = 0
        """Wei that a slashed validator may still lose."""
        self.samples: list[Sample] = []
        self.chain.make_request("anvil_setBlockTimestampInterval", [BLOCK])

    def name(self, staker: int) -> str:
        """Return what a staker is called: they are numbered from 1, the smallest first."""
        return f"staker {staker}"

    def send(self, account: Any, method: Any, *arguments: Any, value: int = 0) -> Any:
        """Send one transaction, and note what it cost. Returns the receipt."""
        receipt = method(*arguments, sender=account, value=value)
        self.gas[account.address] += receipt.total_fees_paid
        self.spent[account.address] += value
        return receipt

    # --- what stakers do ---

    def stake(self, staker: int, amount: str) -> str:
        """Call `deposit`."""
        account, value = self.stakers[staker - 1], wei(amount)
        self.send(account, self.pool.deposit, value, account, value=value)
        return f"stakes {amount} ETH"

    def send_plain(self, staker: int, amount: str) -> str:
        """Send ETH to the pool, and nothing else."""
        account = self.stakers[staker - 1]
        receipt = account.transfer(self.pool, wei(amount))
        self.gas[account.address] += receipt.total_fees_paid
        self.spent[account.address] += wei(amount)
        return f"sends {amount} ETH to the pool: that stakes it"

    def mint(self, staker: int, shares: str) -> str:
        """Buy exactly so many shares; what was sent too much comes back."""
        account, offer = self.stakers[staker - 1], wei(shares) * 11 // 10
        receipt = self.send(account, self.pool.mint, wei(shares), account, value=offer)
        price = receipt.events.filter(self.pool.Deposit)[0].assets
        self.spent[account.address] -= offer - price
        return f"buys exactly {shares} shares for {eth(price)} ETH"

    def stake_and_wrap(self, staker: int, amount: str) -> str:
        """Stake and hold rfloETH, whose balance counts ETH."""
        self.send(self.stakers[staker - 1], self.token.stake, value=wei(amount))
        return f"stakes {amount} ETH and holds rfloETH"

    def wrap(self, staker: int, shares: str) -> str:
        """Turn shares into rfloETH."""
        account = self.stakers[staker - 1]
        self.send(account, self.pool.approve, self.token, wei(shares))
        self.send(account, self.token.wrap, wei(shares))
        return f"wraps {shares} shares: now {eth(self.token.balanceOf(account))} rfloETH"

    def unwrap(self, staker: int) -> str:
        """Turn all rfloETH back into shares."""
        account = self.stakers[staker - 1]
        shares = self.token.shares_of(account)
        self.send(account, self.token.unwrap, shares)
        return f"unwraps {eth(shares)} shares"

    def transfer(self, staker: int, to: int, shares: str) -> str:
        """Hand shares to another staker."""
        self.send(self.stakers[staker - 1], self.pool.transfer, self.stakers[to - 1], wei(shares))
        return f"sends {shares} shares to {self.name(to)}"

    def request(self, staker: int, shares: str, ticket: str) -> str:
        """Queue shares."""
        return self._request(staker, wei(shares), ticket, f"{shares} shares")

    def request_dust(self, staker: int, ticket: str) -> str:
        """Queue the smallest amount there is."""
        return self._request(staker, 1, ticket, "0.000000000000000001 shares")

    def request_all(self, staker: int, ticket: str) -> str:
        """Queue every free share."""
        shares = self.pool.balanceOf(self.stakers[staker - 1])
        return self._request(staker, shares, ticket, f"all {eth(shares)} shares")

    def request_many(self, staker: int, shares: str, count: int, ticket: str) -> str:
        """Queue several tickets at once."""
        account = self.stakers[staker - 1]
        receipt = self.send(account, self.queue.request_many, [wei(shares)] * count, account)
        self.tickets[ticket] = [log.ticket for log in receipt.events.filter(self.queue.Requested)]
        return f"asks for {count} exits of {shares} shares each, in one call"

    def sell_ticket(self, staker: int, to: int, ticket: str) -> str:
        """Hand a ticket to another staker."""
        account, [number] = self.stakers[staker - 1], self.tickets[ticket]
        self.send(account, self.queue.transferFrom, account, self.stakers[to - 1], number)
        return f"gives ticket {number} to {self.name(to)}"

    def redeem(self, staker: int, shares: str) -> str:
        """Leave at once, for so many shares."""
        account = self.stakers[staker - 1]
        gross = self.pool.exit_rate() * wei(shares) // ETHER
        receipt = self.send(account, self.pool.redeem, wei(shares), account, account)
        paid = receipt.events.filter(self.pool.Withdraw)[0].assets
        percent = Decimal(100 * (gross - paid)) / Decimal(gross)
        return f"leaves at once with {eth(paid)} ETH, fee {percent:.2f} %"

    def withdraw(self, staker: int, amount: str) -> str:
        """Leave at once, for exactly so much ETH."""
        account = self.stakers[staker - 1]
        receipt = self.send(account, self.pool.withdraw, wei(amount), account, account)
        shares = receipt.events.filter(self.pool.Withdraw)[0].shares
        return f"leaves at once with exactly {amount} ETH for {eth(shares)} shares"

    def claim(self, staker: int, ticket: str) -> str:
        """Fetch what is paid of one's own ticket, with a hint."""
        [number] = self.tickets[ticket]
        receipt = self.send(self.stakers[staker - 1], self.queue.claim, number, self.queue.hint(number))
        log = receipt.events.filter(self.queue.Claimed)[0]
        return f"claims {eth(log.ether_)} ETH of ticket {number}{self._rest(number)}"

    def tries_to_stake(self, staker: int, amount: str) -> str:
        """Find deposits refused."""
        account = self.stakers[staker - 1]
        reason = self._refusal(self.pool.deposit, wei(amount), account, sender=account, value=wei(amount))
        return f"wants to stake {amount} ETH: {self._refused(reason)}"

    def tries_to_redeem(self, staker: int, shares: str) -> str:
        """Find the instant exit closed."""
        account = self.stakers[staker - 1]
        reason = self._refusal(self.pool.redeem, wei(shares), account, account, sender=account)
        return f"wants to leave at once: {self._refused(reason)}"

    # --- what others do ---

    def stranger_claims(self, ticket: str) -> str:
        """Let somebody without any right fetch ETH, without a hint: the owner gets it."""
        [number] = self.tickets[ticket]
        log = self.send(self.stranger, self.queue.claim, number).events.filter(self.queue.Claimed)[0]
        return f"a stranger claims ticket {number}: {eth(log.ether_)} ETH go to its owner{self._rest(number)}"

    def stranger_claims_all(self) -> str:
        """Let somebody fetch whatever is paid, for everybody, 64 tickets in a call."""
        open_tickets = self.open_tickets()
        paid = 0
        for first in range(0, len(open_tickets), 64):
            batch = open_tickets[first : first + 64]
            receipt = self.send(self.stranger, self.queue.claim_many, batch, [])
            paid += sum(log.ether_ for log in receipt.events.filter(self.queue.Claimed))
        return f"a stranger calls claim_many for {len(open_tickets)} tickets: {eth(paid)} ETH go to their owners"

    def give(self, amount: str) -> str:
        """Send a gift to the withdrawal vault: holders get it slowly, and no report is disturbed."""
        receipt = self.donor.transfer(self.vaults[0], wei(amount))
        self.gas[self.donor.address] += receipt.total_fees_paid
        self.spent[self.donor.address] += wei(amount)
        self.gifts += wei(amount)
        return f"somebody sends {amount} ETH to the withdrawal vault"

    def slashing_known(self, expected: str) -> str:
        """Learn that a validator is slashed, and what it may cost at most."""
        self.expected_loss = wei(expected)
        return f"the largest validator is slashed. What it will cost is not known yet: at most {expected} ETH"

    def slashing_settled(self, loss: str) -> str:
        """Learn what it did cost."""
        self.beacon.slash(wei(loss))
        self.expected_loss = 0
        return f"the slashing is settled: the validator has lost {loss} ETH"

    def open_tickets(self) -> list[int]:
        """Return the numbers of all tickets that are not claimed in full."""
        numbers = list(range(1, self.queue.tickets() + 1))
        found: list[int] = []
        for first in range(0, len(numbers), 256):
            found += [one.number for one in self.lens.tickets(numbers[first : first + 256]) if int(one.owner, 16)]
        return found

    def swept(self) -> tuple[int, int]:
        """Wei that reports have moved from the withdrawal vault to the pool: withdrawals, and gifts."""
        state = self.pool.state()
        return state[5] >> 96 & 2**96 - 1, state[7]

    # --- the clock ---

    def until(self, seconds: int) -> None:
        """Let the chain reach `seconds` after the midnight that this day began with, and take a sample."""
        self.chain.set_timestamp(self.midnight + (self.day - 1) * DAY + seconds)
        self.chain.mine(1)
        self.sample()

    def sample(self) -> None:
        """Note the state of the protocol, for the picture."""
        state = self.lens.protocol()
        self.samples.append(
            Sample(
                time=self.chain.get_block("latest").timestamp,
                entry_rate=state.entry_rate,
                exit_rate=state.exit_rate,
                assets=state.assets,
                outside=state.outside,
                buffer=state.buffer,
                locked=state.locked,
                pending_loss=state.pending_loss,
                waiting=state.needed,
                unclaimed=self.chain.get_balance(self.queue.address),
            )
        )

    def morning(self) -> None:
        """Begin a day: validators earn and withdraw, a block builder pays tips."""
        self.day += 1
        self.beacon.live(self.day)
        tips = self.beacon.total() * 9_000 // (1_000_000 * 365) * (50 + self.day * 29 % 101) // 100
        if tips:
            receipt = self.builder.transfer(self.vaults[1], tips)
            self.gas[self.builder.address] += receipt.total_fees_paid
            self.spent[self.builder.address] += tips
            self.tips += tips
        self.until(6 * HOUR)

    def afternoon(self) -> list[str]:
        """Send what is left of the day's deposits to validators."""
        lines = self._stake()
        self.sample()
        self.until(18 * HOUR)
        return lines

    def evening(self) -> list[str]:
        """End a day: the oracle reports what was at 23:00, exits are paid, ETH moves to and from validators."""
        self.until(23 * HOUR)
        report = self._report()
        self.until(24 * HOUR - BLOCK)
        self.send(self.oracle, self.pool.report, report)
        lines = [*self._fulfil(), *(self._stake() or self._pull_back())]
        self.sample()
        return lines

    def _report(self) -> tuple[int, ...]:
        """Return everything an oracle knows at the reference time, in the order of the contract's struct."""
        received = self.vaults[0].balance + sum(self.swept())
        return (
            self.beacon.total(),
            self.beacon.deposited,
            self.beacon.withdrawn,
            received - self.beacon.withdrawn,
            self.queue.tail(),
            self.expected_loss,
            self.pool.state()[5] >> 192,
        )

    def _fulfil(self) -> list[str]:
        if self._refusal(self.pool.fulfil, sender=self.stranger) in ("fulfil: nothing to pay", "fulfil: too little"):
            return []
        receipt = self.send(self.stranger, self.pool.fulfil)
        log = receipt.events.filter(self.pool.Fulfilled)[0]
        left = self.lens.protocol().waiting
        rest = f"; {eth(left)} shares still wait" if left else ""
        return [f"exits are paid: {eth(log.assets)} ETH for {eth(log.shares)} shares{rest}"]

    def _stake(self) -> list[str]:
        amount = self.pool.stakeable()
        if amount < REGISTRY_MINIMUM:
            return []
        self.send(self.stranger, self.registry.stake, self.pool, amount)
        self.beacon.deposit(amount, self.day)
        return [f"{eth(amount)} ETH go to validators"]

    def _pull_back(self) -> list[str]:
        state = self.lens.protocol()
        arriving = self.beacon.leaving() + self.beacon.withdrawn - self.swept()[0]
        if state.needed >= state.buffer + arriving + KEEPER_MINIMUM:
            # Enough for those who wait, and for the buffer that those who stay should have then.
            target = state.target * (state.assets - state.needed) // state.assets
            amount = state.needed + target - state.buffer - arriving
            self.beacon.exit(amount, self.day)
            return [f"the keeper asks validators for {eth(amount)} ETH"]
        return []

    # --- inside ---

    @staticmethod
    def _refused(reason: str | None) -> str:
        if reason is None:
            raise AssertionError("a call that must be refused was not")
        return f'refused, "{reason}"'

    def _request(self, staker: int, shares: int, ticket: str, text: str) -> str:
        account = self.stakers[staker - 1]
        receipt = self.send(account, self.queue.request, shares, account)
        self.tickets[ticket] = [receipt.events.filter(self.queue.Requested)[0].ticket]
        return f"asks for the exit of {text}: ticket {self.tickets[ticket][0]}"

    def _rest(self, number: int) -> str:
        pending = self.queue.pending(number)
        return f"; {eth(pending)} shares of it still wait" if pending else ""

    def _refusal(self, method: Any, *arguments: Any, **transaction: Any) -> str | None:
        """Return why a call would revert, None when it would not. It is only simulated."""
        try:
            method.call(*arguments, **transaction, skip_trace=True)
        except ContractLogicError as error:
            return str(error.revert_message)
        return None
