"""What people do with floETH among themselves: the pair, the reserve that buys exits, the gauge, and WETH.

Each method sends the transactions and says in a line what happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import ape
from ape.exceptions import ContractLogicError

from floe.beacon.client import BeaconClient
from floe.demo.staking import DAY, ETHER, GWEI, Staking
from floe.devnet import Devnet
from floe.report.tables import eth

REWARD_PERIOD = 5 * DAY
SMALL = ETHER // 10
"""An amount whose price is that of the margin, as far as anybody sees."""
INTO_LIQUIDITY = 4
"""Of the zap's flag `Target`: the pair's token."""


def wei(ether: str | int) -> int:
    """Return an amount in ETH as wei, exactly. Raises decimal.InvalidOperation for what is no number."""
    return int(Decimal(ether).scaleb(18))


class Market(Staking):
    """The market and who is in it. `stakers` are Ape accounts, numbered from 1, those with the least ETH first."""

    def __init__(
        self,
        contracts: dict[str, Any],
        devnet: Devnet,
        client: BeaconClient,
        stakers: Sequence[Any],
        operators: Sequence[Any],
        helpers: dict[str, Any],
    ) -> None:
        super().__init__(contracts, devnet, client, operators, helpers)
        self.queue, self.stakers = contracts["WithdrawalQueue"], stakers
        self.timelock, self.zap = contracts["Timelock"], contracts["Zap"]
        self.pair, self.reserve, self.gauge = (contracts[name] for name in ("StablePair", "ExitReserve", "Gauge"))
        self.weth, self.weth_vault = contracts["WETH9"], contracts["WethVault"]
        self.tickets: dict[str, list[int]] = defaultdict(list)
        """Tickets by a name that the story gives them."""
        self._is_open = False

    # --- those who provide ---

    def provide(self, staker: int, ether: str, shares: str) -> str:
        """Give both sides to the pair."""
        account = self.stakers[staker - 1]
        self.send(account, self.pool.approve, self.pair, wei(shares))
        receipt = self.send(account, self.pair.add_liquidity, wei(shares), 1, value=wei(ether))
        got = receipt.events.filter(self.pair.LiquidityAdded)[0].liquidity
        return f"gives {ether} ETH and {shares} shares to the pair, for {eth(got)} flLP"

    def zap_into_pair(self, staker: int, amount: str) -> str:
        """Give ETH alone; the zap stakes the part that is floETH there."""
        account = self.stakers[staker - 1]
        before = self.pair.balanceOf(account)
        self.send(account, self.zap.zap, INTO_LIQUIDITY, 0, 1, account, value=wei(amount))
        got = self.pair.balanceOf(account) - before
        return f"turns {amount} ETH into {eth(got)} flLP in one call"

    def lend(self, staker: int, amount: str) -> str:
        """Give ETH to the reserve."""
        account, value = self.stakers[staker - 1], wei(amount)
        self.send(account, self.reserve.deposit, value, account, value=value)
        return f"gives {amount} ETH to the reserve, which buys exits with it"

    def tries_to_lend(self, staker: int, amount: str) -> str:
        """Find the reserve closed for more ETH."""
        account, value = self.stakers[staker - 1], wei(amount)
        reason = self._refusal(self.reserve.deposit, value, account, sender=account, value=value)
        return f"wants to give {amount} ETH to the reserve: {self._refused(reason)}"

    def stake_liquidity(self, staker: int) -> str:
        """Put everything that the pair gave into the gauge."""
        account = self.stakers[staker - 1]
        amount = self.pair.balanceOf(account)
        self.send(account, self.pair.approve, self.gauge, amount)
        self.send(account, self.gauge.stake, amount)
        return f"stakes {eth(amount)} flLP in the gauge"

    def unstake_liquidity(self, staker: int) -> str:
        """Take it out again."""
        account = self.stakers[staker - 1]
        amount = self.gauge.staked(account)
        self.send(account, self.gauge.withdraw, amount)
        return f"takes {eth(amount)} flLP out of the gauge"

    def remove_both(self, staker: int) -> str:
        """Leave the pair with a part of both sides."""
        account = self.stakers[staker - 1]
        receipt = self.send(account, self.pair.remove_liquidity, self.pair.balanceOf(account), 1, 1)
        out = receipt.events.filter(self.pair.LiquidityRemoved)[0]
        return f"leaves the pair with {eth(out.assets)} ETH and {eth(out.shares)} shares"

    def remove_one(self, staker: int, part: str) -> str:
        """Take floETH alone out of the pair, for a part of what one has of it."""
        account = self.stakers[staker - 1]
        liquidity = int(self.pair.balanceOf(account) * Decimal(part))
        receipt = self.send(account, self.pair.remove_one, liquidity, False, 1)
        return f"takes {eth(receipt.events.filter(self.pair.OneRemoved)[0].out)} shares alone out of the pair"

    def leave_reserve(self, staker: int, part: str) -> str:
        """Take ETH out of the reserve, for a part of what one has of it."""
        account = self.stakers[staker - 1]
        shares = int(self.reserve.balanceOf(account) * Decimal(part))
        receipt = self.send(account, self.reserve.redeem, shares, account, account)
        return f"leaves the reserve with {eth(receipt.events.filter(self.reserve.Withdraw)[0].assets)} ETH"

    # --- rewards for them ---

    def admit_reward(self) -> str:
        """Let the gauge pay floETH, as its admin: the timelock, whose 21 days nobody waits for here."""
        self.chain.set_balance(self.timelock.address, ETHER)
        timelock = ape.accounts.test_accounts.impersonate_account(self.timelock.address)
        self.gauge.add_reward(self.pool, self.donor, REWARD_PERIOD, sender=timelock, max_priority_fee=GWEI)
        return "governance lets the gauge pay floETH to who provides to the pair (its 21 days are left out here)"

    def reward(self, amount: str) -> str:
        """Let somebody stake ETH and give the shares away."""
        value = wei(amount)
        self.send(self.donor, self.pool.deposit, value, self.donor, value=value)
        shares = self.pool.balanceOf(self.donor)
        self.send(self.donor, self.pool.approve, self.gauge, shares)
        self.send(self.donor, self.gauge.notify, self.pool, shares)
        return f"somebody gives {eth(shares)} shares to those in the gauge, over {REWARD_PERIOD // DAY} days"

    def claim_reward(self, staker: int) -> str:
        """Fetch one's reward."""
        account = self.stakers[staker - 1]
        receipt = self.send(account, self.gauge.claim, account, self.pool)
        return f"claims {eth(receipt.events.filter(self.gauge.Claimed)[0].amount, 6)} shares from the gauge"

    def stranger_claims_reward(self, staker: int) -> str:
        """Let somebody without any right fetch a reward: its owner gets it."""
        receipt = self.send(self.stranger, self.gauge.claim, self.stakers[staker - 1], self.pool)
        paid = receipt.events.filter(self.gauge.Claimed)[0].amount
        return f"a stranger claims {eth(paid, 6)} shares from the gauge: they go to {self.name(staker)}"

    # --- trades ---

    def sell(self, staker: int, shares: str) -> str:
        """Sell at the pair."""
        account = self._account(staker)
        self.send(account, self.pool.approve, self.pair, wei(shares))
        receipt = self.send(account, self.pair.sell, wei(shares), 1)
        got = receipt.events.filter(self.pair.Sold)[0].assets
        return f"sells {shares} shares at the pair for {eth(got)} ETH{self._each(got, wei(shares))}"

    def buy(self, staker: int, amount: str) -> str:
        """Buy at the pair."""
        receipt = self.send(self._account(staker), self.pair.buy, 1, value=wei(amount))
        got = receipt.events.filter(self.pair.Bought)[0].shares
        return f"buys {eth(got)} shares at the pair for {amount} ETH{self._each(wei(amount), got)}"

    def sell_to_reserve(self, staker: int, shares: str) -> str:
        """Sell to the reserve."""
        account = self._account(staker)
        self.send(account, self.pool.approve, self.reserve, wei(shares))
        receipt = self.send(account, self.reserve.sell, wei(shares), 1)
        got = receipt.events.filter(self.reserve.Sold)[0].assets
        return f"sells {shares} shares to the reserve for {eth(got)} ETH{self._each(got, wei(shares))}"

    def sell_ticket_to_reserve(self, staker: int, ticket: str) -> str:
        """Sell a ticket to the reserve, as far as it is not paid."""
        account, [number] = self._account(staker), self.tickets[ticket]
        self.send(account, self.queue.approve, self.reserve, number)
        receipt = self.send(account, self.reserve.sell_ticket, number, 1)
        sold = receipt.events.filter(self.reserve.TicketSold)[0]
        return f"sells ticket {number} to the reserve for {eth(sold.assets)} ETH{self._each(sold.assets, sold.shares)}"

    def stake_through_reserve(self, staker: int, amount: str) -> str:
        """Stake, and so buy what the reserve has bought, at its value."""
        account = self.stakers[staker - 1]
        receipt = self.send(account, self.reserve.stake, account, value=wei(amount))
        done = receipt.events.filter(self.reserve.Restaked)[0]
        return f"stakes {amount} ETH through the reserve: it parts with {eth(done.shares)} shares that it holds"

    # --- what is left for anyone ---

    def queue_reserve(self) -> str:
        """Let somebody queue what the reserve has bought."""
        receipt = self.send(self.stranger, self.reserve.queue_exits)
        queued = receipt.events.filter(self.reserve.Queued)[0]
        return f"a stranger has the reserve queue {eth(queued.shares)} shares: ticket {queued.ticket}"

    def claim_reserve(self) -> str:
        """Let somebody fetch what the reserve's tickets were paid."""
        paid = 0
        # From the end: the last ticket takes the place of one that is done.
        for place, ticket in reversed(list(enumerate(one.ticket for one in self.reserve.open_tickets()))):
            if self.queue.claimable(ticket):
                receipt = self.send(self.stranger, self.reserve.claim, place, self.queue.hint(ticket))
                paid += sum(log.ether_ for log in receipt.events.filter(self.queue.Claimed))
        return f"a stranger claims the reserve's tickets: {eth(paid)} ETH are there to buy more exits"

    # --- by WETH ---

    def stake_weth(self, staker: int, amount: str) -> str:
        """Stake WETH through the vault."""
        account, value = self.stakers[staker - 1], wei(amount)
        self.send(account, self.weth.deposit, value=value)
        self.send(account, self.weth.approve, self.weth_vault, value)
        self.send(account, self.weth_vault.deposit, value, account)
        return f"stakes {amount} WETH through the vault for contracts that know no ETH"

    def request_weth(self, staker: int, shares: str, ticket: str) -> str:
        """Queue shares that one has in the WETH vault."""
        account = self.stakers[staker - 1]
        receipt = self.send(account, self.weth_vault.request_exit, wei(shares), account, account)
        self.tickets[ticket] = [receipt.events.filter(self.weth_vault.ExitRequested)[0].ticket]
        return f"asks the WETH vault for the exit of {shares} shares: ticket {self.tickets[ticket][0]}"

    def claim_weth(self, staker: int, ticket: str) -> str:
        """Let somebody fetch the WETH, and its owner unwrap it."""
        account, [number] = self.stakers[staker - 1], self.tickets[ticket]
        self.send(self.stranger, self.weth_vault.claim, number, self.queue.hint(number))
        paid = self.weth.balanceOf(account)
        self.send(account, self.weth.withdraw, paid)
        return f"has {eth(paid)} WETH, for which a stranger claimed ticket {number}, and unwraps it"

    # --- inside ---

    def prices(self, block: int) -> dict[str, int]:
        """Return what the market has in a block for the picture, by fields of `Sample`."""
        then = {"block_identifier": block}
        found = {"reserve_cash": self.reserve.cash(**then), "reserve_value": self.reserve.totalAssets(**then)}
        self._is_open = self._is_open or bool(self.pair.totalSupply(**then))
        if not self._is_open:
            return found | {"bid": 0, "ask": 0}
        bid = self.pair.preview_sell(SMALL, **then) * ETHER // SMALL
        ask = SMALL * ETHER // self.pair.preview_buy(SMALL, **then)
        return found | {"bid": bid, "ask": ask}

    def name(self, staker: int) -> str:
        """Return what a staker is called; 0 is somebody who only trades."""
        return f"staker {staker}" if staker else "a stranger"

    def _account(self, staker: int) -> Any:
        return self.stakers[staker - 1] if staker else self.stranger

    @staticmethod
    def _each(assets: int, shares: int) -> str:
        return f", {Decimal(assets) / Decimal(shares):.4f} each"

    @staticmethod
    def _refused(reason: str | None) -> str:
        if reason is None:
            raise AssertionError("a call that must be refused was not")
        return f'refused, "{reason}"'

    @staticmethod
    def _refusal(method: Any, *arguments: Any, **transaction: Any) -> str | None:
        """Return why a call would revert, None when it would not. It is only simulated."""
        try:
            method.call(*arguments, **transaction, skip_trace=True)
        except ContractLogicError as error:
            return str(error.revert_message)
        return None
