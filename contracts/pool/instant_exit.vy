# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Instant exit
@license GNU Affero General Public License v3.0 only
@notice The exit half of ERC-7535: ETH at once, out of the buffer beyond what queued exits need, up to an allowance
        that every report refills, at the exit rate less the fee of `instant_fee.vy`. The fee stays with the holders
        through the stream. Closed while a loss is pending, while reports are stale, and while paused.
"""
from ethereum.ercs import IERC20
from contracts.lib import allowances
from contracts.lib import instant_fee
from contracts.lib import parameters
from contracts.lib import reasons
from contracts.lib import stream
from contracts.lib import words
from contracts.pool import ledger
from interfaces import IFloePool

uses: allowances
uses: ledger


# Terms of an instant exit at one instant.
struct Terms:
    shares: uint256  # total supply
    exit_value: uint256  # wei
    limit: uint256  # most wei, before the fee
    period: uint256  # seconds over which the fee streams
    line: instant_fee.Line


@external
def withdraw(assets: uint256, receiver: address, owner: address, max_shares: uint256 = max_value(uint256)) -> uint256:
    """
    @notice Instant exit: `receiver` gets exactly `assets` wei now; the least shares that pay for it and for the fee
            (both rounded up) are burnt from `owner`.
    @param max_shares The call reverts above this.
    @return The shares burnt.
    @dev Reverts: "instant: zero assets", "instant: over the limit", "slippage: too many shares",
         "allowance: too low", "balance: too low", "receiver: refused", "ether: send failed".
    """
    if assets == 0:
        reasons._refuse(reasons.INSTANT_ZERO)
    terms: Terms = self._terms()
    # Below the limit nothing is divided by an exit value of zero.
    if assets > terms.limit:
        reasons._refuse(reasons.INSTANT_LIMIT)
    shares: uint256 = self._shares_for_net(terms, assets)
    if shares > max_shares:
        reasons._refuse(reasons.MAX_SHARES)
    self._leave(terms, shares, assets, receiver, owner)
    return shares


@external
def redeem(shares: uint256, receiver: address, owner: address, min_assets: uint256 = 0) -> uint256:
    """
    @notice Instant exit: burn `shares` of `owner` at the exit rate; `receiver` gets their value less the fee
            (rounded up) now.
    @param min_assets The call reverts below this.
    @return The wei paid.
    @dev Reverts: "instant: zero assets", "instant: over the limit", "slippage: too few assets",
         "allowance: too low", "balance: too low", "receiver: refused", "ether: send failed".
    """
    terms: Terms = self._terms()
    assets: uint256 = self._net(terms, shares)
    if assets == 0:
        reasons._refuse(reasons.INSTANT_ZERO)
    if assets < min_assets:
        reasons._refuse(reasons.MIN_ASSETS)
    self._leave(terms, shares, assets, receiver, owner)
    return assets


@external
@view
def maxWithdraw(owner: address) -> uint256:
    """
    @notice ERC-4626: wei that `owner` can take out at once, after the fee; 0 while a loss is pending, reports are
            stale or the instant exit is paused.
    """
    terms: Terms = self._terms()
    return self._net(terms, self._max_redeem(terms, owner))


@external
@view
def maxRedeem(owner: address) -> uint256:
    """
    @notice ERC-4626: shares that `owner` can redeem at once; 0 as for `maxWithdraw`.
    """
    return self._max_redeem(self._terms(), owner)


@external
@view
def previewWithdraw(assets: uint256) -> uint256:
    """
    @notice ERC-4626: shares that an instant exit of `assets` wei burns, limits aside (rounds up).
            Reverts: "pool: no value".
    """
    terms: Terms = self._terms()
    if terms.exit_value == 0:
        reasons._refuse(reasons.NO_VALUE)
    return self._shares_for_net(terms, assets)


@external
@view
def previewRedeem(shares: uint256) -> uint256:
    """
    @notice ERC-4626: wei that an instant exit of `shares` pays, limits aside (rounds down).
    """
    return self._net(self._terms(), shares)


@internal
@view
def _terms() -> Terms:
    """
    @notice The terms of an instant exit now.
    """
    totals: uint256 = ledger.totals
    away: uint256 = ledger.away
    past: uint256 = ledger.past
    live: IFloePool.Parameters = parameters._unpack(ledger.live)
    free: uint256 = ledger._free(totals, away)
    limit: uint256 = 0
    if (
        words._high(away) == 0
        and past >> 216 <= block.timestamp
        and block.timestamp < ((past >> 96) & words.U40) + live.stale_after
    ):
        limit = min(free, (past >> 136) & words.U80)
    return Terms(
        shares=words._low(totals),
        exit_value=ledger._exit_value(totals, away),
        limit=limit,
        period=live.period,
        line=instant_fee.Line(
            fee_min=live.instant_fee_min,
            fee_max=live.instant_fee_max,
            target=words._high(totals) * live.target_bps // ledger.BPS,
            liquidity=free,
        ),
    )


@internal
@view
def _net(terms: Terms, shares: uint256) -> uint256:
    """
    @notice Wei that `shares` pay after the fee (rounds down).
    """
    gross: uint256 = shares * terms.exit_value // terms.shares
    return gross - instant_fee._fee(terms.line, gross)


@internal
@view
def _shares_for_net(terms: Terms, assets: uint256) -> uint256:
    gross: uint256 = instant_fee._gross_for(terms.line, assets)
    return (gross * terms.shares + terms.exit_value - 1) // terms.exit_value


@internal
@view
def _max_redeem(terms: Terms, owner: address) -> uint256:
    """
    @notice The most shares whose gross value stays within the limit and the balance; 0 when they would pay nothing.
    """
    if terms.limit == 0 or terms.exit_value == 0:
        return 0
    shares: uint256 = min(ledger.balances[owner], ((terms.limit + 1) * terms.shares - 1) // terms.exit_value)
    if self._net(terms, shares) == 0:
        return 0
    return shares


@internal
def _leave(terms: Terms, shares: uint256, assets: uint256, receiver: address, owner: address):
    """
    @notice The single way out at once: burn `shares` of `owner`, pay `assets`, stream the rest of their value.
    """
    gross: uint256 = shares * terms.exit_value // terms.shares
    if gross > terms.limit:
        reasons._refuse(reasons.INSTANT_LIMIT)
    ledger._check_receiver(receiver)
    allowances._spend(owner, shares)
    ledger._take(owner, shares)
    ledger._burn(ledger.totals, ledger.away, shares, assets)
    ledger.past -= gross << 136  # the allowance holds at least the limit
    ledger.stream_word = stream._add(ledger.stream_word, gross - assets, block.timestamp, terms.period)
    log IERC20.Transfer(sender=owner, receiver=empty(address), value=shares)
    log IFloePool.Withdraw(sender=msg.sender, receiver=receiver, owner=owner, assets=assets, shares=shares)
    ledger._send(receiver, assets)
