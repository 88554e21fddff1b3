"""The liquidity room beside a protocol, in which one wallet can do everything: its part of the stage in tests/calls.py.

market = Market(protocol, wallet)   # contracts, liquidity, something earned, locked and collected
market.queue_exits()                # a ticket of the reserve's and one of the WETH vault's
"""

from __future__ import annotations

from tests.evm import ETHER, Contract
from tests.gauge import CALL, WEEK
from tests.protocol import SAVER, UNLIMITED, Protocol

ROOM = ("StablePair", "ExitReserve", "Gauge", "WethVault", "Zap")
"""Contracts of the room that change state."""

RESERVE_PARAMETERS = (500, 20_000, 80 * ETHER, False, ETHER // 10)
PAIR_PARAMETERS = (400, 50_000, 200_000, 20_000)
"""Fee (ppm), its factor off the peg (1/10,000), the admin's part (ppm), amplification (1/100)."""
FLOETH, RFLOETH, LIQUIDITY = 1, 2, 4
"""What a zap may turn ETH into."""


class Market:
    """Pair, reserve, gauge, adapters; `wallet` has every role, some of every token, and everybody's approval of it."""

    def __init__(self, protocol: Protocol, wallet: Contract) -> None:
        """Deploy it. Takes an hour."""
        self.protocol, self.evm, self.wallet = protocol, protocol.evm, wallet
        evm, pool, admin = protocol.evm, protocol.pool, protocol.admin
        self.weth = evm.deploy("WETH9")
        self.reserve = evm.deploy("ExitReserve", pool, admin, RESERVE_PARAMETERS)
        self.pair = evm.deploy("StablePair", pool, admin, wallet, *PAIR_PARAMETERS)
        self.gauge = evm.deploy("Gauge", self.pair, admin)
        self.vault = evm.deploy("WethVault", pool, self.weth)
        self.zap = evm.deploy("Zap", pool, self.weth, protocol.token, self.reserve, self.pair)
        self.feed = evm.deploy("RateProvider", pool)
        self.reward, self.spare = evm.deploy("MockToken"), evm.deploy("MockToken")
        self.contracts = [self.pair, self.reserve, self.gauge, self.vault, self.zap, self.feed]
        for contract in (self.pair, self.reserve, self.gauge):
            contract.grantRole(contract.DEFAULT_ADMIN_ROLE(), wallet, sender=admin)
        self._approve()
        self._provide()
        evm.travel(3_600)
        self._trade()

    def _approve(self) -> None:
        for spender in (self.pair, self.reserve, self.vault, self.gauge, self.zap):
            for token in (self.protocol.pool, self.weth, self.reward):
                token.approve(spender, UNLIMITED, sender=self.wallet)
        # snekmate's transferFrom asks the owner himself for an allowance.
        for token in (self.pair, self.reserve, self.vault):
            token.approve(self.wallet, UNLIMITED, sender=self.wallet)
        self.pair.approve(self.gauge, UNLIMITED, sender=self.wallet)
        for spender in (self.pair, self.reserve):
            self.protocol.pool.approve(spender, UNLIMITED, sender=SAVER)
        self.protocol.queue.setApprovalForAll(self.reserve, True, sender=self.wallet)

    def _provide(self) -> None:
        wallet, pool = self.wallet, self.protocol.pool
        self.evm.fund(wallet, 100 * ETHER)
        self.protocol.stake(60 * ETHER, SAVER)
        pool.transfer(wallet, 30 * ETHER, sender=SAVER)
        self.pair.add_liquidity(20 * ETHER, 0, sender=wallet, value=20 * ETHER)
        self.reserve.deposit(30 * ETHER, wallet, sender=wallet, value=30 * ETHER)
        self.weth.deposit(sender=wallet, value=20 * ETHER)
        self.vault.deposit(10 * ETHER, wallet, sender=wallet)

    def _trade(self) -> None:
        """Stake and earn in the gauge, and trade: fees are locked, and the admin's part lies there."""
        wallet = self.wallet
        self.gauge.stake(5 * ETHER, sender=wallet)
        self.gauge.add_reward(self.reward, wallet, WEEK, sender=wallet)
        self.reward.mint(wallet, 100 * ETHER)
        self.gauge.notify(self.reward, 7 * ETHER, sender=wallet)
        # From now on it calls whom it moves from or to, as tokens with hooks do.
        self.reward.behave(CALL)
        self.pair.buy(0, sender=wallet, value=ETHER)
        self.pair.sell(ETHER, 0, sender=SAVER)
        self.evm.travel(3_600)

    def queue_exits(self) -> None:
        """Let the reserve and the vault each queue 1e18 shares, and the reserve buy some more."""
        self.reserve.sell(ETHER, 0, sender=SAVER)
        self.reserve.queue_exits(sender=self.wallet)
        self.vault.request_exit(ETHER, self.wallet, self.wallet, sender=self.wallet)
        self.reserve.sell(5 * ETHER, 0, sender=SAVER)
