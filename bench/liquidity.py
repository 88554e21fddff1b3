"""The operations of the market: the pair, the reserve, the gauge, and the adapters before them.

Each starts from a market in use: several people have provided to both sides of the pair and to the reserve, people have
traded, the reserve has tickets in the queue, and a reward is running for who stakes in the gauge. What is measured is
alone in its block: the second call of a block would find the pair's price summed up already.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.node import Transaction
from bench.operations import SAMPLES, Operation, Samples, pairs
from bench.protocol import DAY, ETHER, UNLIMITED, Contract, Protocol

PROVIDERS = SAMPLES
"""People who have provided, and staked what they got for it."""
TICKETS = 3
"""Of the reserve, in the queue."""
REWARD_PERIOD = 7 * DAY
FEW_SAMPLES = 8
"""Where a sample takes a good part of all that the reserve has."""


class Market:
    """The pair, the reserve and the gauge of a protocol in use."""

    def __init__(self, protocol: Protocol, stakers: int = PROVIDERS, tickets: int = TICKETS) -> None:
        """Set it up with so many stakers in the gauge, and open tickets of the reserve."""
        self.protocol, self.random, self.pool = protocol, protocol.random, protocol.pool
        self.pair, self.reserve, self.gauge = (
            protocol.contracts[name] for name in ("StablePair", "ExitReserve", "Gauge")
        )
        self.providers = protocol.some(PROVIDERS)
        self.approve(protocol.holders, self.pool, [self.pair, self.reserve])
        self.approve(self.providers, self.pair, [self.gauge])
        protocol.gas([protocol.deposit(one, protocol.amount(1_500, 2_000)) for one in self.providers])
        self.alone([self.add(one, 200, 400) for one in self.providers])
        self.alone([self.lend(one, protocol.amount(25, 30)) for one in self.providers])
        protocol.node.mine(DAY)  # what is new there does not lower the fee
        self._trade()
        self._queue(tickets)
        self._open_gauge(stakers)

    # --- what people do: each returns the transaction ---

    def buy(self, buyer: str, least: float = 0.1, most: float = 20) -> Transaction:
        """Swap ETH into floETH."""
        return self.pair.transaction(buyer, "buy(uint256)", 1, value=self.protocol.amount(least, most))

    def sell(self, seller: str, least: float = 0.1, most: float = 20) -> Transaction:
        """Swap floETH into ETH."""
        return self.pair.transaction(seller, "sell(uint256,uint256)", self.protocol.amount(least, most), 1)

    def add(self, provider: str, least: float = 0.1, most: float = 20) -> Transaction:
        """Provide both sides, of different amounts."""
        wei, shares = self.protocol.amount(least, most), self.protocol.amount(least, most)
        return self.pair.transaction(provider, "add_liquidity(uint256,uint256)", shares, 1, value=wei)

    def lend(self, provider: str, wei: int) -> Transaction:
        """Provide ETH to the reserve."""
        return self.reserve.transaction(provider, "deposit(uint256,address)", wei, provider, value=wei)

    def sell_to_reserve(self, seller: str, least: float = 0.1, most: float = 10) -> Transaction:
        """Sell floETH to the reserve."""
        return self.reserve.transaction(seller, "sell(uint256,uint256)", self.protocol.amount(least, most), 1)

    def sell_tickets(self, count: int) -> list[Transaction]:
        """Request exits, and sell the tickets to the reserve: so many transactions, at most one of each holder."""
        p = self.protocol
        sellers = p.some(count)
        first = p.read(p.queue, "tickets()")[0] + 1
        p.gas([p.request(one, [p.amount(0.2, 2)]) for one in sellers])
        tickets = list(enumerate(sellers, first))
        signature = "approve(address,uint256)"
        p.gas([p.queue.transaction(one, signature, self.reserve.address, ticket) for ticket, one in tickets])
        sell = "sell_ticket(uint256,uint256)"
        return [self.reserve.transaction(one, sell, ticket, 1) for ticket, one in tickets]

    def stake(self, provider: str, receiver: str | None = None) -> Transaction:
        """Stake some liquidity in the gauge, by default for oneself."""
        amount = self.protocol.amount(0.1, 2)
        if receiver is None:
            return self.gauge.transaction(provider, "stake(uint256)", amount)
        return self.gauge.transaction(provider, "stake(uint256,address)", amount, receiver)

    def claim(self, account: str) -> Transaction:
        """Pay an account its reward."""
        return self.gauge.transaction(account, "claim(address,address)", account, self.pool.address)

    def alone(self, transactions: Sequence[Transaction]) -> Samples:
        """Gas of each transaction, each in a block of its own."""
        return [self.protocol.gas([one])[0] for one in transactions]

    def approve(self, owners: Sequence[str], token: Contract, spenders: Sequence[Contract]) -> None:
        """Let contracts take all that the owners have of a token."""
        signature = "approve(address,uint256)"
        self.protocol.gas(
            [token.transaction(one, signature, spender.address, UNLIMITED) for one in owners for spender in spenders]
        )

    def add_reward(self, token: Contract) -> None:
        """Let holders notify the gauge of a reward in a token of which `deployer` has some: 50 to 100 of it."""
        p = self.protocol
        timelock = p.contracts["Timelock"].address
        add = "add_reward(address,address,uint256)"
        p.gas([self.gauge.transaction(timelock, add, token.address, p.deployer, REWARD_PERIOD)])
        self.approve([p.deployer], token, [self.gauge])
        amount = p.amount(50, 100)
        p.gas([self.gauge.transaction(p.deployer, "notify(address,uint256)", token.address, amount)])

    # --- set-up ---

    def _trade(self) -> None:
        """Let some swap, so that no word is new and the balances are not equal."""
        for seller, buyer in pairs(self.protocol.some(8)):
            self.alone([self.sell(seller), self.buy(buyer, 0.1, 2)])

    def _queue(self, tickets: int) -> None:
        """Let the reserve queue what it has bought, buy people's tickets, so many in all, and keep some floETH."""
        p = self.protocol
        self.alone([self.sell_to_reserve(p.some(1)[0], 1.5, 2)])
        self.alone([self.reserve.transaction(p.outsider, "queue_exits()")])
        self.alone(self.sell_tickets(tickets - 1))
        self.alone([self.sell_to_reserve(p.some(1)[0])])

    def _open_gauge(self, stakers: int) -> None:
        """Let people stake, and a reward run; the providers have been paid of it once."""
        p = self.protocol
        p.gas([p.deposit(p.deployer, p.amount(1_000, 2_000))])
        self.add_reward(self.pool)
        p.gas([self.stake(one) for one in self.providers[:stakers]])
        others = [p.account() for _ in range(stakers - len(self.providers))]
        p.gas([self.stake(p.random.choice(self.providers), other) for other in others])
        p.node.mine(DAY)
        p.gas([self.claim(one) for one in self.providers[:stakers]])
        p.node.mine(DAY)


# --- the operations with a bar ---


def pair_swap(p: Protocol) -> Samples:
    """Swap floETH into ETH and ETH into floETH."""
    market = Market(p)
    sent = [(market.sell(seller), market.buy(buyer)) for seller, buyer in pairs(p.some(2 * SAMPLES))]
    return market.alone([one for couple in sent for one in couple])


def pair_add(p: Protocol) -> Samples:
    """Provide both sides again."""
    market = Market(p)
    return market.alone([market.add(one) for one in market.providers])


def pair_remove_one(p: Protocol) -> Samples:
    """Take out one side, floETH or ETH in turn."""
    market = Market(p)
    signature = "remove_one(uint256,bool,uint256)"
    return market.alone(
        [
            market.pair.transaction(provider, signature, p.amount(0.1, 20), place % 2 == 0, 1)
            for place, provider in enumerate(market.providers)
        ]
    )


def reserve_sale(p: Protocol) -> Samples:
    """Sell floETH to the reserve."""
    market = Market(p)
    return market.alone([market.sell_to_reserve(one) for one in p.some(SAMPLES)])


def gauge_stake(p: Protocol) -> Samples:
    """Stake more, while one reward runs."""
    market = Market(p)
    return market.alone([market.stake(one) for one in market.providers])


def gauge_claim(p: Protocol) -> Samples:
    """Be paid a reward again."""
    market = Market(p)
    return market.alone([market.claim(one) for one in market.providers])


OPERATIONS: dict[str, Operation] = {
    operation.__name__: operation
    for operation in (pair_swap, pair_add, pair_remove_one, reserve_sale, gauge_stake, gauge_claim)
}
"""By the keys of `gas.json`."""


# --- for information ---


def pair_add_first(p: Protocol) -> Samples:
    """Provide both sides for the first time."""
    market = Market(p)
    others = [one for one in p.holders if one not in market.providers]
    return market.alone([market.add(one) for one in others[:SAMPLES]])


def pair_remove(p: Protocol) -> Samples:
    """Take out both sides."""
    market = Market(p)
    signature = "remove_liquidity(uint256,uint256,uint256)"
    return market.alone([market.pair.transaction(one, signature, p.amount(0.1, 20), 1, 1) for one in market.providers])


def reserve_sale_in_loss(p: Protocol) -> Samples:
    """Sell floETH to the reserve while a loss is pending."""
    market = Market(p)
    p.day(gain=0, pending_loss=p.amount(1, 2))
    return market.alone([market.sell_to_reserve(one) for one in p.some(SAMPLES)])


def reserve_ticket(p: Protocol) -> Samples:
    """Sell a ticket, of which nothing is paid, to the reserve."""
    market = Market(p)
    return market.alone(market.sell_tickets(SAMPLES))


def reserve_lend(p: Protocol) -> Samples:
    """Provide to the reserve again, which has three tickets open."""
    market = Market(p)
    return market.alone([market.lend(one, p.amount(0.1, 20)) for one in market.providers])


def reserve_redeem(p: Protocol) -> Samples:
    """Leave the reserve with a part, while it has three tickets open."""
    market = Market(p)
    signature = "redeem(uint256,address,address)"
    return market.alone(
        [market.reserve.transaction(one, signature, p.amount(0.1, 5), one, one) for one in market.providers]
    )


def reserve_queue(p: Protocol) -> Samples:
    """Queue what the reserve has bought: at least a sixteenth of all it has."""
    market = Market(p)
    gas = []
    for seller in p.some(FEW_SAMPLES):
        market.alone([market.sell_to_reserve(seller, 60, 70)])
        gas += market.alone([market.reserve.transaction(p.outsider, "queue_exits()")])
    return gas


def reserve_claim(p: Protocol) -> Samples:
    """Fetch what a ticket of the reserve was paid."""
    market = Market(p, tickets=SAMPLES)
    p.day()
    return market.alone([market.reserve.transaction(p.outsider, "claim(uint256)", 0) for _ in range(SAMPLES)])


def reserve_stake(p: Protocol) -> Samples:
    """Stake through the reserve, which has enough floETH for it."""
    market = Market(p)
    market.alone([market.sell_to_reserve(one, 5, 10) for one in p.some(20)])
    return market.alone(
        [market.reserve.transaction(one, "stake(address)", one, value=p.amount(0.1, 2)) for one in p.some(SAMPLES)]
    )


def gauge_withdraw(p: Protocol) -> Samples:
    """Take a part out of the gauge."""
    market = Market(p)
    return market.alone(
        [market.gauge.transaction(one, "withdraw(uint256)", p.amount(0.01, 0.05)) for one in market.providers]
    )


def gauge_stake_two(p: Protocol) -> Samples:
    """Stake more, while two rewards run."""
    market = Market(p)
    p.gas([p.rebasing.transaction(p.deployer, "stake()", value=200 * ETHER)])
    market.add_reward(p.rebasing)
    p.gas([market.stake(one) for one in market.providers], DAY)
    return market.alone([market.stake(one) for one in market.providers])


def zap(p: Protocol) -> Samples:
    """Turn ETH into liquidity of the pair, in one call."""
    market = Market(p)
    contract = p.contracts["Zap"]
    signature = "zap(uint256,uint256,uint256,address)"
    into = 4  # the flag `LIQUIDITY`
    return market.alone(
        [contract.transaction(one, signature, into, 0, 1, one, value=p.amount(0.1, 20)) for one in market.providers]
    )


OTHERS: dict[str, Operation] = {
    "pair: add, first-time provider": pair_add_first,
    "pair: remove both": pair_remove,
    "reserve: sale with a pending loss": reserve_sale_in_loss,
    "reserve: sale of a ticket": reserve_ticket,
    "reserve: provide": reserve_lend,
    "reserve: leave": reserve_redeem,
    "reserve: queue what was bought": reserve_queue,
    "reserve: claim a ticket": reserve_claim,
    "reserve: stake through it": reserve_stake,
    "gauge: withdraw": gauge_withdraw,
    "gauge: stake, two rewards": gauge_stake_two,
    "zap: ETH into liquidity": zap,
}
"""By what is shown."""
