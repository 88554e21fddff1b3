"""`ape floe liquidity add|remove|stake|unstake|claim`: provide what others trade with, and be rewarded for it.

Every function prints what would be paid and received, asks, sends, and says what happened. The least that is accepted
is the preview less a tolerance: by default none at the pair (whoever accepts less offers the difference to a sandwich),
and the reserve's least fee where its value is what counts, which nobody can move.
"""

from __future__ import annotations

import click

from floe.cli.amounts import show
from floe.cli.market import GAS, LP, RESERVE_SHARES, Market, carry_out, less, of_held, tell
from floe.cli.session import Call, Floe, Wallet


def add(
    floe: Floe,
    wallet: Wallet,
    ether: int | None,
    shares: int | None,
    balanced: bool,
    slippage_ppm: int | None,
    receiver: str | None,
) -> None:
    """Provide ETH, floETH or both to the pair. With `balanced` one is named, and the other follows from the pair."""
    market = Market(floe)
    pair = market.pair
    if balanced:
        ether, shares = _balanced(market, ether, shares)
    ether, shares = ether or 0, shares or 0
    receiver = receiver or wallet.address
    if shares:
        of_held(wallet, floe.pool, "floETH", shares)
    expected = market.ask(pair.preview_add, ether, shares)[0]
    least, why = market.least(expected, lambda model: model.preview_add(ether, shares), slippage_ppm)
    approvals = market.approval(wallet, floe.pool, pair, shares) if shares else []
    call = Call("add", pair.add_liquidity, (shares, least, receiver), value=ether, gas=GAS if approvals else None)
    paid = " and ".join(show(amount, name) for amount, name in ((ether, "ETH"), (shares, "floETH")) if amount)
    rows = [("pay", paid), ("receive", f"{show(expected, LP)}, at least {show(least, LP)}"), ("accepted", why)]
    _received_by(rows, wallet, receiver)
    receipt = carry_out(wallet, "Add liquidity to the pair", rows, [*approvals, call])
    if receipt is not None:
        [event] = pair.LiquidityAdded.from_receipt(receipt)
        tell(
            wallet,
            f"added {paid} for {show(int(event.liquidity), LP)}; `ape floe liquidity stake` earns rewards with it",
        )


def _balanced(market: Market, ether: int | None, shares: int | None) -> tuple[int, int]:
    """Return both amounts in the proportion of the pair (the one that is not named rounded down)."""
    in_ether, in_shares = market.ask(market.pair.balances)
    if not in_ether or not in_shares:
        raise click.ClickException("the pair is empty: who comes first names both amounts")
    if ether is None:
        assert shares is not None
        return shares * in_ether // in_shares, shares
    return ether, ether * in_shares // in_ether


def add_to_reserve(floe: Floe, wallet: Wallet, ether: int, slippage_ppm: int | None, receiver: str | None) -> None:
    """Provide ETH to the exit reserve."""
    market = Market(floe)
    reserve, receiver = market.reserve, receiver or wallet.address
    expected = market.ask(reserve.previewDeposit, ether)[0]
    least = less(expected, _tolerance(slippage_ppm, market.reserve_fee))
    call = Call("add", reserve.deposit, (ether, receiver, least), value=ether)
    rows = [
        ("pay", show(ether, "ETH")),
        ("receive", f"{show(expected, RESERVE_SHARES)}, at least {show(least, RESERVE_SHARES)}"),
    ]
    _received_by(rows, wallet, receiver)
    wallet.check_funds(ether, GAS)
    receipt = carry_out(wallet, "Add liquidity to the exit reserve", rows, [call])
    if receipt is not None:
        [event] = reserve.Deposit.from_receipt(receipt)
        tell(wallet, f"added {show(int(event.assets), 'ETH')} for {show(int(event.shares), RESERVE_SHARES)}")


def remove(
    floe: Floe, wallet: Wallet, liquidity: int | None, only: str | None, slippage_ppm: int | None, receiver: str | None
) -> None:
    """Take liquidity (None: all that is held) out of the pair: of both kinds without a fee, or `only` one of them."""
    market = Market(floe)
    pair, receiver = market.pair, receiver or wallet.address
    liquidity = of_held(wallet, pair, LP, liquidity, _staked(market, wallet.address))
    if only is None:
        ether, shares = market.ask(pair.preview_remove, liquidity)
        least_ether, why = market.least(ether, lambda model: model.preview_remove(liquidity)[0], slippage_ppm)
        least_shares, _ = market.least(shares, lambda model: model.preview_remove(liquidity)[1], slippage_ppm)
        least = (least_ether, least_shares)
        call = Call("remove", pair.remove_liquidity, (liquidity, *least, receiver))
        expected = f"{show(ether, 'ETH')} and {show(shares, 'floETH')}"
        accepted = f"{show(least[0], 'ETH')} and {show(least[1], 'floETH')}"
    else:
        of_ether = only == "ether"
        name = "ETH" if of_ether else "floETH"
        paid = market.ask(pair.preview_remove_one, liquidity, of_ether)[0]
        one, why = market.least(
            paid,
            lambda model: model.preview_remove_one(liquidity, of_ether),
            slippage_ppm,
        )
        call = Call("remove", pair.remove_one, (liquidity, of_ether, one, receiver))
        expected, accepted = show(paid, name), show(one, name)
    rows = [("pay", show(liquidity, LP)), ("receive", f"{expected}, at least {accepted}"), ("accepted", why)]
    _received_by(rows, wallet, receiver)
    receipt = carry_out(wallet, "Remove liquidity from the pair", rows, [call])
    if receipt is None:
        return
    if only is None:
        [event] = pair.LiquidityRemoved.from_receipt(receipt)
        got = f"{show(int(event.assets), 'ETH')} and {show(int(event.shares), 'floETH')}"
    else:
        [event] = pair.OneRemoved.from_receipt(receipt)
        got = show(int(event.out), "ETH" if event.of_ether else "floETH")
    tell(wallet, f"removed {show(liquidity, LP)}: {got}")


def remove_from_reserve(
    floe: Floe, wallet: Wallet, shares: int | None, slippage_ppm: int | None, receiver: str | None
) -> None:
    """Take ETH out of the exit reserve for its shares (None: all that are held), as far as it has ETH."""
    market = Market(floe)
    reserve, receiver = market.reserve, receiver or wallet.address
    shares = of_held(wallet, reserve, RESERVE_SHARES, shares)
    most = market.ask(reserve.maxRedeem, wallet.address)[0]
    if 0 < most < shares:
        raise click.ClickException(
            f"at most {show(most, RESERVE_SHARES)} of yours can leave now: the rest of the reserve waits in the queue"
        )
    expected = market.ask(reserve.previewRedeem, shares)[0]
    least = less(expected, _tolerance(slippage_ppm, market.reserve_fee))
    call = Call("remove", reserve.redeem, (shares, receiver, wallet.address, least))
    rows = [
        ("pay", show(shares, RESERVE_SHARES)),
        ("receive", f"{show(expected, 'ETH')}, at least {show(least, 'ETH')}"),
    ]
    _received_by(rows, wallet, receiver)
    receipt = carry_out(wallet, "Remove liquidity from the exit reserve", rows, [call])
    if receipt is not None:
        [event] = reserve.Withdraw.from_receipt(receipt)
        tell(wallet, f"removed {show(int(event.shares), RESERVE_SHARES)}: {show(int(event.assets), 'ETH')}")


def stake(floe: Floe, wallet: Wallet, liquidity: int | None, receiver: str | None) -> None:
    """Stake what the pair's providers hold (None: all of it) in the gauge, for a receiver (the payer by default)."""
    market = Market(floe)
    pair, gauge, receiver = market.pair, market.gauge, receiver or wallet.address
    liquidity = of_held(wallet, pair, LP, liquidity)
    approvals = market.approval(wallet, pair, gauge, liquidity)
    call = Call("stake", gauge.stake, (liquidity, receiver), gas=GAS if approvals else None)
    rows = [("stake", show(liquidity, LP)), ("rewards", _rewards(market) or "none now")]
    _received_by(rows, wallet, receiver)
    if carry_out(wallet, "Stake liquidity in the gauge", rows, [*approvals, call]) is not None:
        floe.see()
        staked = market.ask(gauge.staked, receiver)[0]
        tell(wallet, f"staked {show(liquidity, LP)}; {show(staked, LP)} of {receiver} earn rewards")


def unstake(floe: Floe, wallet: Wallet, liquidity: int | None, receiver: str | None) -> None:
    """Take liquidity (None: all) out of the gauge. What it earned stays to be claimed."""
    market = Market(floe)
    gauge, receiver = market.gauge, receiver or wallet.address
    staked = market.ask(gauge.staked, wallet.address)[0]
    if staked == 0 or (liquidity or 0) > staked:
        raise click.ClickException(f"{wallet.address} has staked {show(staked, LP)}")
    liquidity = liquidity or staked
    call = Call("unstake", gauge.withdraw, (liquidity, receiver))
    rows = [("receive", show(liquidity, LP))]
    _received_by(rows, wallet, receiver)
    if carry_out(wallet, "Take liquidity out of the gauge", rows, [call]) is not None:
        tell(wallet, f"{show(liquidity, LP)} are out of the gauge; {show(staked - liquidity, LP)} are left in it")


def claim(floe: Floe, wallet: Wallet, owner: str | None) -> None:
    """Fetch all rewards of an account (the payer by default); anyone may, the account gets them."""
    market = Market(floe)
    owner = owner or wallet.address
    earned = [(token, market.ask(market.gauge.earned, owner, token)[0]) for token in market.reward_tokens]
    due = [(token, amount) for token, amount in earned if amount]
    if not due:
        raise click.ClickException(f"nothing to claim for {owner}")
    if len(due) == 1:
        call = Call("claim", market.gauge.claim, (owner, due[0][0]))
    else:
        # A token that gets too little gas is left out, and a node's estimate does not see that.
        call = Call("claim", market.gauge.claim_all, (owner,), gas=GAS * len(earned))
    rows = [(f"to {owner}", market.show(token, amount)) for token, amount in due]
    receipt = carry_out(wallet, "Claim rewards", rows, [call])
    if receipt is not None:
        for event in market.gauge.Claimed.from_receipt(receipt):
            tell(wallet, f"{market.show(str(event.token), int(event.amount))} to {event.receiver}")


def _received_by(rows: list[tuple[str, str]], wallet: Wallet, receiver: str) -> None:
    if receiver != wallet.address:
        rows.append(("receiver", receiver))


def _rewards(market: Market) -> str:
    """Name the tokens that the gauge rewards with now."""
    return ", ".join(market.symbol(token) for token in market.reward_tokens)


def _tolerance(chosen: int | None, fee: int) -> int:
    return fee if chosen is None else chosen


def _staked(market: Market, account: str) -> str:
    """Say that more is in the gauge, if it is."""
    staked = market.ask(market.gauge.staked, account)[0]
    return f", and {show(staked, LP)} in the gauge that `ape floe liquidity unstake` takes out" if staked else ""
