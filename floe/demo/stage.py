"""What people do in the demo, each as one method that sends the transactions and says in a line what happened.

Everything goes through Ape, as in any script of one's own: `contract.method(arguments, sender=account, value=wei)`.
What concerns validators is in `staking`, what people do among themselves in `market`. The clock is here, too: it waits
for the daemons where they have work to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from floe.beacon.client import BeaconClient
from floe.demo.daemons import Daemons
from floe.demo.market import Market, wei
from floe.demo.news import News
from floe.demo.staking import ETHER, GWEI, SLOTS_A_DAY, STATES
from floe.devnet import Devnet
from floe.report.pictures import Sample
from floe.report.tables import eth

TIP = 3 * ETHER // 2
"""Wei that somebody in a hurry pays to a proposer, more or less."""
TRANSFER_GAS = 21_000
FINAL = 17
"""Slots after which a reference slot is final, and a block says so: two epochs."""


class Stage(Market):
    """The deployed protocol, the people, and the clock.

    `contracts` are Ape instances by name; `stakers`, `operators` and `helpers` are Ape accounts.
    """

    def __init__(
        self,
        contracts: dict[str, Any],
        devnet: Devnet,
        client: BeaconClient,
        stakers: Sequence[Any],
        operators: Sequence[Any],
        helpers: dict[str, Any],
        daemons: Daemons,
        news: News,
    ) -> None:
        super().__init__(contracts, devnet, client, stakers, operators, helpers)
        self.daemons, self.news, self.helpers = daemons, news, helpers
        self.token = contracts["RebasingToken"]
        self.committee = contracts["ReportOracle"]
        self.midnight = self.chain.get_block("latest").timestamp
        """When day 1 begins."""
        self.gifts = 0
        self.samples: list[Sample] = []

    # --- what stakers do ---

    def stake(self, staker: int, amount: str) -> str:
        """Call `deposit`."""
        account, value = self.stakers[staker - 1], wei(amount)
        self.send(account, self.pool.deposit, value, account, value=value)
        return f"stakes {amount} ETH"

    def send_plain(self, staker: int, amount: str) -> str:
        """Send ETH to the pool, and nothing else."""
        account = self.stakers[staker - 1]
        self.note(account, account.transfer(self.pool, wei(amount), max_priority_fee=GWEI), wei(amount))
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
        shares = self.pool.balanceOf(self._account(staker))
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
        receipt = self.send(self._account(staker), self.queue.claim, number, self.queue.hint(number))
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
        """Let somebody fetch whatever is paid, for everybody with a key of his own, 64 tickets in a call."""
        contracts = {self.reserve.address, self.weth_vault.address}  # they have to know what they are paid
        open_tickets = [one for one in self.open_tickets() if self.queue.ownerOf(one) not in contracts]
        paid = 0
        for first in range(0, len(open_tickets), 64):
            batch = open_tickets[first : first + 64]
            receipt = self.send(self.stranger, self.queue.claim_many, batch, [])
            paid += sum(log.ether_ for log in receipt.events.filter(self.queue.Claimed))
        return f"a stranger calls claim_many for {len(open_tickets)} tickets: {eth(paid)} ETH go to their owners"

    def give(self, amount: str) -> str:
        """Send a gift to the withdrawal vault: holders get it slowly, and no report is disturbed."""
        self.note(self.donor, self.donor.transfer(self.vaults[0], wei(amount), max_priority_fee=GWEI), wei(amount))
        self.gifts += wei(amount)
        return f"somebody sends {amount} ETH to the withdrawal vault"

    def switch_off(self, member: int) -> str:
        """Let a member's machine lose its power."""
        self.daemons.switch_off(member - 1)
        return f"member {member} of the oracle's committee loses its power: the other two go on"

    def switch_on(self, member: int) -> str:
        """Let it come back."""
        self.daemons.switch_on(member - 1)
        return f"member {member} of the oracle's committee is back"

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

    def sample(self, block: int) -> None:
        """Note the state of the protocol in a block, for the picture; that of validators is the last that was told."""
        state = self.lens.protocol(block_identifier=block)
        states = Counter(one.state for one in self.validators)
        self.samples.append(
            Sample(
                time=self.chain.web3.eth.get_block(block)["timestamp"],
                entry_rate=state.entry_rate,
                exit_rate=state.exit_rate,
                assets=state.assets,
                outside=state.outside,
                buffer=state.buffer,
                locked=state.locked,
                pending_loss=state.pending_loss,
                waiting=state.needed,
                unclaimed=self.chain.web3.eth.get_balance(self.queue.address, block),
                **self.prices(block),
                **{name: states[name] for name in STATES},
            )
        )

    def morning(self, day: int) -> None:
        """Begin a day, and let somebody in a hurry pay for the next block, twice: sometimes it is one of ours."""
        for slots in (3, 2):
            self.devnet.advance(slots)
            tip = TIP * (50 + (day + slots) * 29 % 101) // 100 // TRANSFER_GAS
            fees = {"max_fee": 2 * self.chain.base_fee + tip, "max_priority_fee": tip}
            self.note(self.donor, self.donor.transfer(self.donor, 1, **fees), 0)

    def noon(self) -> list[str]:
        """Let last midnight become final, and the committee report it."""
        midnight = self.devnet.slot // SLOTS_A_DAY * SLOTS_A_DAY
        self.end_slot()
        self.devnet.advance(midnight + FINAL - self.devnet.slot)
        if self.was_there(midnight):
            self.daemons.wait_for_report(self.devnet, lambda: bool(self.committee.last().ref_slot >= midnight))
        return self.tell()

    def evening(self) -> list[str]:
        """Let the keeper do what has become due, and the day end."""
        self.end_slot()
        self.devnet.advance(SLOTS_A_DAY - 1 - self.devnet.slot % SLOTS_A_DAY)
        self.daemons.wait_for_keeper()
        lines = self.tell()
        self.end_slot()
        return lines

    def last_morning(self) -> list[str]:
        """After the last day: its report, and whatever is left to do for the keeper. Then the daemons end."""
        self.devnet.advance(1)
        lines = self.noon()
        self.daemons.wait_for_keeper()
        self.daemons.stop()
        lines += self.tell()
        self.sample(self.chain.web3.eth.block_number)
        return lines

    def end_slot(self) -> None:
        """Let the next slot begin, and note the state at the end of this one: daemons may act at any time."""
        eth = self.chain.web3.eth
        now = eth.get_block("latest")["timestamp"]
        self.devnet.advance(1)
        last = eth.block_number
        while eth.get_block(last)["timestamp"] > now:
            last -= 1
        self.sample(last)

    def was_there(self, slot: int) -> bool:
        """Whether the protocol was there in the last block at or before a slot."""
        return bool(self.devnet.genesis_time + slot * self.devnet.settings.seconds_per_slot > self.midnight)

    def tell(self) -> list[str]:
        """Return what the daemons have done since the last time."""
        lines = self.news.read(self.validators)
        self.refresh(self.news.seen)
        return lines

    # --- inside ---

    def _request(self, staker: int, shares: int, ticket: str, text: str) -> str:
        account = self._account(staker)
        receipt = self.send(account, self.queue.request, shares, account)
        self.tickets[ticket] = [receipt.events.filter(self.queue.Requested)[0].ticket]
        return f"asks for the exit of {text}: ticket {self.tickets[ticket][0]}"

    def _rest(self, number: int) -> str:
        pending = self.queue.pending(number)
        return f"; {eth(pending)} shares of it still wait" if pending else ""
