"""The zap: ETH and WETH into floETH, rfloETH or liquidity of the pair, in one call."""

from __future__ import annotations

from dataclasses import dataclass

from floe.model.basics import UNLIMITED, ZERO, Address, Revert
from floe.model.exit_reserve import ExitReserve
from floe.model.pool import Pool
from floe.model.rebasing_token import RebasingToken
from floe.model.stable_pair import StablePair
from floe.model.weth_vault import Weth

FLOETH, RFLOETH, LIQUIDITY = 1, 2, 4
"""What ETH is turned into."""


@dataclass(slots=True)
class Zap:
    """Rules; it keeps nothing. A method that raises `Revert` may have changed something, as in the other adapters."""

    address: Address
    pool: Pool
    weth: Weth
    token: RebasingToken
    reserve: ExitReserve
    pair: StablePair

    def construct(self) -> None:
        """Let the pair take floETH, of which nothing of its own ever lies here; take ETH from WETH only."""
        self.pool.approve(self.address, self.pair.address, UNLIMITED)
        chain = self.pool.chain
        chain.ether[self.address] = 0
        chain.on_ether[self.address] = lambda sender, *_: sender == self.weth.address

    def zap(self, sender: Address, value: int, into: int, weth_amount: int, min_out: int, receiver: Address) -> int:
        """Turn `value` wei and `weth_amount` of the caller's WETH into one thing; returns how much of it."""
        if receiver in (ZERO, self.address):
            raise Revert("receiver: refused")
        self.pool.chain.move(sender, self.address, value)
        if weth_amount:
            self.weth.transfer_from(self.address, sender, self.address, weth_amount)
            self.weth.withdraw(self.address, weth_amount)
        assets = value + weth_amount
        if into == FLOETH:
            return self.reserve.stake(self.address, assets, receiver, min_out)
        if into == RFLOETH:
            amount = self.pool.convert_to_assets(self.token.stake(self.address, assets, receiver))
            if amount < min_out:
                raise Revert("slippage: too few assets")
            return amount
        if into != LIQUIDITY:
            raise Revert("zap: not one target")
        kept = self._kept(assets)
        bought = self.reserve.stake(self.address, assets - kept, self.address)
        return self.pair.add_liquidity(self.address, kept, bought, min_out, receiver)

    def _kept(self, assets: int) -> int:
        """Return the part that stays ETH: as much as the pair has of it, by value; half, while that is empty."""
        self.pair.check_entry()
        sides = self.pair.sides()
        return assets * sides.x // (sides.x + sides.y) if sides.x else assets // 2
