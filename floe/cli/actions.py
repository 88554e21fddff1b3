"""Staking, wrapping, leaving and claiming: quote, question, transaction, result.

Every function prints what would be paid and received, asks as `Wallet.terms` say, sends, and prints what happened. What
contracts refuse comes out as ContractLogicError before anything is sent (`words.py` has the sentences).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from floe.cli.amounts import show
from floe.cli.session import Call, Floe, Wallet
from floe.cli.tickets import Ticket, by_number, of_owner
from floe.cli.waiting import flow

STAKE_GAS = 120_000
"""Most gas that is kept back when all ETH is staked: twice what a first deposit takes."""
WRAP_GAS = 150_000
"""Most gas of a wrap whose approval is not sent yet, so that no node can estimate it."""
MOST_CLAIMS = 64
"""In one call."""
PPM = 1_000_000
STAKE_TOLERANCE = 1_000
"""Ppm by which the shares of a deposit may be fewer than quoted, where no least amount is named."""
UNPAID = {
    1: "it does not exist any more",
    2: "nothing of it is paid",
    4: "its hint was out of date",
    8: "its owner does not take ETH",
}
"""Of `IWithdrawalQueue.Unpaid`."""


def stake(floe: Floe, wallet: Wallet, amount: int | None, receiver: str | None, min_shares: int | None) -> None:
    """Stake wei (None: all but the network fee) for a receiver (the payer by default)."""
    receiver = receiver or wallet.address
    if amount is None:
        amount = floe.balance(wallet.address) - STAKE_GAS * wallet.fees["max_fee"]
        if amount <= 0:
            raise click.ClickException(f"{wallet.address} has no ETH beyond the network fee")
    wallet.check_funds(amount, STAKE_GAS)
    expected = wallet.simulate(_deposit(floe, amount, receiver, min_shares or 0))
    least = expected * (PPM - STAKE_TOLERANCE) // PPM if min_shares is None else min_shares
    call = _deposit(floe, amount, receiver, least)
    rows = [
        ("pay", show(amount, "ETH")),
        ("receive", f"{show(expected, 'floETH')}, at least {show(least, 'floETH')}"),
        ("entry rate", f"{show(int(floe.read(floe.pool.entry_rate)), 'ETH')} for 1 floETH"),
    ]
    if receiver != wallet.address:
        rows.append(("receiver", receiver))
    if not wallet.quote("Stake", rows, [call]):
        return
    with wallet.signing():
        receipt = wallet.send(call)
    [event] = floe.pool.Deposit.from_receipt(receipt)
    _say(wallet, f"staked {show(int(event.assets), 'ETH')} for {show(int(event.shares), 'floETH')}")


def _deposit(floe: Floe, amount: int, receiver: str, least: int) -> Call:
    return Call("stake", floe.pool.deposit, (amount, receiver, least), value=amount)


def wrap(floe: Floe, wallet: Wallet, shares: int | None) -> None:
    """Turn floETH (None: all) into rfloETH; approves exactly that much first where it is not approved yet."""
    holds = int(floe.read(floe.pool.balanceOf, wallet.address))
    shares = _of(holds, shares, "floETH", wallet)
    calls = [Call("wrap", floe.token.wrap, (shares,), gas=WRAP_GAS)]
    if int(floe.read(floe.pool.allowance, wallet.address, floe.token.address)) < shares:
        calls.insert(0, Call("approve", floe.pool.approve, (floe.token.address, shares)))
    worth = int(floe.read(floe.pool.convertToAssets, shares))
    rows = [("pay", show(shares, "floETH")), ("receive", show(worth, "rfloETH"))]
    if len(calls) > 1:
        rows.append(("transactions", "2: the first lets the rfloETH contract take that much floETH"))
    if not wallet.quote("Wrap", rows, calls):
        return
    with wallet.signing():
        for call in calls:
            receipt = wallet.send(call)
    [event] = floe.token.TransferShares.from_receipt(receipt)
    _say(wallet, f"wrapped {show(int(event.shares), 'floETH')}: {_rebasing(floe, wallet)}")


def unwrap(floe: Floe, wallet: Wallet, amount: int | None) -> None:
    """Turn an amount of rfloETH (None: all) back into floETH: the shares that are worth it, rounded down."""
    holds = int(floe.read(floe.token.shares_of, wallet.address))
    shares = holds if amount is None else int(floe.read(floe.pool.convertToShares, amount))
    if amount is not None and shares == 0:
        raise click.ClickException("that is worth less than the smallest part of a floETH")
    if holds == 0 or shares > holds:
        held = show(int(floe.read(floe.token.balanceOf, wallet.address)), "rfloETH")
        raise click.ClickException(f"{wallet.address} holds {held}")
    call = Call("unwrap", floe.token.unwrap, (shares,))
    worth = wallet.simulate(call)
    if not wallet.quote("Unwrap", [("pay", show(worth, "rfloETH")), ("receive", show(shares, "floETH"))], [call]):
        return
    with wallet.signing():
        wallet.send(call)
    floe.see()
    _say(wallet, f"unwrapped {show(shares, 'floETH')}; {_rebasing(floe, wallet)} left")


def leave(floe: Floe, wallet: Wallet, shares: int | None, receiver: str | None) -> None:
    """Queue floETH (None: all) for an exit without a fee; the receiver (the payer by default) gets the ticket."""
    receiver = receiver or wallet.address
    shares = _of(int(floe.read(floe.pool.balanceOf, wallet.address)), shares, "floETH", wallet)
    call = Call("request", floe.queue.request, (shares, receiver))
    wallet.simulate(call)
    now = floe.read(floe.lens.protocol)
    wait = flow(floe, now).wait(int(now.line.tail) + shares)
    rows = [
        ("pay", show(shares, "floETH")),
        ("receive", f"a ticket, worth {show(shares * int(now.exit_rate) // 10**18, 'ETH')} now; it earns until paid"),
        ("wait", f"{wait.short} ({wait.kind})"),
    ]
    if receiver != wallet.address:
        rows.append(("receiver", receiver))
    if not wallet.quote("Exit through the queue", rows, [call]):
        return
    with wallet.signing():
        receipt = wallet.send(call)
    [event] = floe.queue.Requested.from_receipt(receipt)
    _say(wallet, f"ticket {int(event.ticket)} for {show(int(event.shares), 'floETH')}; `ape floe tickets` follows it")


def leave_at_once(floe: Floe, wallet: Wallet, shares: int | None, receiver: str | None, slippage_ppm: int) -> None:
    """Take ETH out of the buffer for floETH (None: all) at once, for a fee; at least the quote less `slippage_ppm`."""
    receiver = receiver or wallet.address
    shares = _of(int(floe.read(floe.pool.balanceOf, wallet.address)), shares, "floETH", wallet)
    most = int(floe.read(floe.pool.maxRedeem, wallet.address))
    if shares > most:
        raise click.ClickException(_closed(floe, most))
    owner = wallet.address
    paid = wallet.simulate(Call("exit", floe.pool.redeem, (shares, receiver, owner)))
    gross = shares * int(floe.read(floe.pool.exit_rate)) // 10**18
    least = paid * (PPM - slippage_ppm) // PPM
    call = Call("exit", floe.pool.redeem, (shares, receiver, owner, least))
    rows = [
        ("pay", show(shares, "floETH")),
        ("receive", f"{show(paid, 'ETH')}, at least {show(least, 'ETH')}"),
        ("fee in it", f"{show(max(gross - paid, 0), 'ETH')}, {100 * max(gross - paid, 0) / max(gross, 1):.3f} %"),
        ("for comparison", f"the queue would pay {show(gross, 'ETH')} at the rate of now, later"),
    ]
    if receiver != wallet.address:
        rows.append(("receiver", receiver))
    if not wallet.quote("Exit at once", rows, [call]):
        return
    with wallet.signing():
        receipt = wallet.send(call)
    [event] = floe.pool.Withdraw.from_receipt(receipt)
    _say(wallet, f"received {show(int(event.assets), 'ETH')} for {show(int(event.shares), 'floETH')}")


def claim(floe: Floe, wallet: Wallet, numbers: Sequence[int], owner: str | None) -> None:
    """Fetch what is paid of some tickets, by default of all of an owner (the payer by default), for their owners."""
    if numbers:
        found, _ = by_number(floe, sorted(set(numbers)))
        _check_claims(numbers, found)
    else:
        found, _ = of_owner(floe, owner or wallet.address)
        found = [one for one in found if one.claimable]
        if not found:
            raise click.ClickException(f"nothing to claim for {owner or wallet.address}: `ape floe tickets` says why")
    calls = [_claims(floe, found[first : first + MOST_CLAIMS]) for first in range(0, len(found), MOST_CLAIMS)]
    rows = [(f"ticket {one.number}", f"{show(one.claimable, 'ETH')} to {one.owner}") for one in found]
    rows.append(("all", show(sum(one.claimable for one in found), "ETH")))
    if not wallet.quote("Claim", rows, calls):
        return
    with wallet.signing():
        for call in calls:
            receipt = wallet.send(call)
            for event in floe.queue.Claimed.from_receipt(receipt):
                _say(wallet, f"ticket {int(event.ticket)}: {show(int(event.ether_), 'ETH')} to {event.receiver}")
            for event in floe.queue.ClaimSkipped.from_receipt(receipt):
                _say(wallet, f"ticket {int(event.ticket)}: not paid, {UNPAID[int(event.reason)]}")


def _claims(floe: Floe, some: Sequence[Ticket]) -> Call:
    if len(some) == 1:
        return Call("claim", floe.queue.claim, (some[0].number, some[0].hint))
    return Call("claim", floe.queue.claim_many, ([one.number for one in some], [one.hint for one in some]))


def _check_claims(numbers: Sequence[int], found: Sequence[Ticket]) -> None:
    there = {one.number: one for one in found}
    for number in numbers:
        if number not in there:
            raise click.ClickException(f"ticket {number} does not exist, or has been claimed in full")
        if not there[number].claimable:
            wait = there[number].wait
            raise click.ClickException(f"nothing of ticket {number} is paid; it waits for {wait.kind}, {wait.short}")


def _of(holds: int, amount: int | None, token: str, wallet: Wallet) -> int:
    """Return an amount (None: all) of what an account holds. Raises ClickException when it holds less."""
    if holds == 0 or (amount or 0) > holds:
        raise click.ClickException(f"{wallet.address} holds {show(holds, token)}{_wrapped(wallet)}")
    return holds if amount is None else amount


def _wrapped(wallet: Wallet) -> str:
    wrapped = int(wallet.floe.read(wallet.floe.token.balanceOf, wallet.address))
    return f", and {show(wrapped, 'rfloETH')} that `ape floe unwrap` turns into floETH" if wrapped else ""


def _closed(floe: Floe, most: int) -> str:
    """Say why so much cannot leave at once."""
    now: Any = floe.read(floe.lens.protocol)
    elsewhere = "without --instant it goes through the queue"
    if most > 0:
        return f"at most {show(most, 'floETH')} of yours can leave at once now; {elsewhere}"
    if now.pending_loss > 0:
        return f"nothing can leave at once while a known loss is not settled; {elsewhere}"
    if now.limits.instant_exit_paused_until > floe.now:
        return f"instant exits are paused; {elsewhere}"
    if floe.now >= now.stale_from:
        return f"nothing can leave at once while reports are late; {elsewhere}"
    return f"nothing can leave at once until deposits or the next report make room; {elsewhere}"


def _rebasing(floe: Floe, wallet: Wallet) -> str:
    floe.see()
    return show(int(floe.read(floe.token.balanceOf, wallet.address)), "rfloETH")


def _say(wallet: Wallet, line: str) -> None:
    wallet.console.print(line, soft_wrap=True)
