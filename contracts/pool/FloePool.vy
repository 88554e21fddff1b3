# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title FloePool (floETH)
@license GNU Affero General Public License v3.0 only
@notice The staking pool and its share token in one: an ERC-20 (EIP-2612, EIP-5267) that is a complete ERC-7535
        vault over ETH. `deposit` and `mint` enter; `withdraw` and `redeem` are the instant exit; the exit without a
        fee is `WithdrawalQueue`. Rewards stream into the price by the second. The rules lie beside this file:
        `ledger.vy` has the books and the prices, `instant_exit.vy` the way out at once, `reporting.vy` the report.
@dev What stops it, who can, and what still works then: the pauser can stop deposits, fulfilments and instant exits,
     each for at most 14 days at a time; transfers, requests, claims and reports always work. Without reports anyone
     can call `declare_stale`, and exits go on from the buffer. The code cannot be replaced; the admin (a timelock)
     sets parameters inside fixed bounds and appoints the oracle, the registry and the pauser.
"""
from ethereum.ercs import IERC20
from snekmate.auth import access_control
from contracts.lib import allowances
from contracts.lib import parameters
from contracts.lib import reasons
from contracts.lib import stream
from contracts.lib import words
from contracts.pool import instant_exit
from contracts.pool import ledger
from contracts.pool import reporting
from interfaces import IFloePool

implements: IERC20
implements: IFloePool

initializes: access_control
initializes: allowances
initializes: ledger
initializes: instant_exit[allowances := allowances, ledger := ledger]
initializes: reporting[ledger := ledger]

exports: (
    access_control.DEFAULT_ADMIN_ROLE,
    access_control.grantRole,
    access_control.hasRole,
    access_control.revokeRole,
)
exports: (
    allowances.DOMAIN_SEPARATOR,
    allowances.allowance,
    allowances.approve,
    allowances.eip712.eip712Domain,
    allowances.nonces,
    allowances.permit,
)
exports: (
    instant_exit.maxRedeem,
    instant_exit.maxWithdraw,
    instant_exit.previewRedeem,
    instant_exit.previewWithdraw,
    instant_exit.redeem,
    instant_exit.withdraw,
)
exports: (
    ledger.balanceOf,
    ledger.buffer,
    ledger.convertToAssets,
    ledger.convertToShares,
    ledger.deficit,
    ledger.eligible,
    ledger.entry_price,
    ledger.entry_rate,
    ledger.exit_rate,
    ledger.locked,
    ledger.maxDeposit,
    ledger.maxMint,
    ledger.outside,
    ledger.pending_loss,
    ledger.previewDeposit,
    ledger.previewMint,
    ledger.queue,
    ledger.stakeable,
    ledger.state,
    ledger.totalAssets,
    ledger.totalSupply,
)
exports: (
    reporting.declare_stale,
    reporting.execution_vault,
    reporting.fee_recipient,
    reporting.receive_from_vault,
    reporting.withdrawal_vault,
)

name: public(constant(String[9])) = "Floe ETH"
symbol: public(constant(String[6])) = "floETH"
decimals: public(constant(uint8)) = 18
# @notice ERC-7528: the address that stands for ETH.
asset: public(constant(address)) = 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE

# @notice May call `report`.
ORACLE_ROLE: public(constant(bytes32)) = keccak256("ORACLE_ROLE")
# @notice May call `send_to_validators`, and receives that ETH.
REGISTRY_ROLE: public(constant(bytes32)) = keccak256("REGISTRY_ROLE")
# @notice May call `pause`.
PAUSER_ROLE: public(constant(bytes32)) = keccak256("PAUSER_ROLE")

# A price needs shares that can never leave; a gwei of them keeps its rounding below a billionth.
MIN_SEED: constant(uint256) = 10**9
# A fulfilment appends a storage slot for ever: it must move this much, or empty the eligible queue.
MIN_FULFIL: constant(uint256) = 10**18
# Longer than any incident response, shorter than the admin's timelock.
MAX_PAUSE: constant(uint256) = 14 * 86_400
# Keeps the assets below 2**96, so that deposits need no check of their own.
MAX_CEILING_GWEI: constant(uint256) = 2**96 // 10**9


@deploy
@payable
def __init__(setup: IFloePool.Setup):
    """
    @notice `msg.value` (at least 1 gwei) buys the first shares; they belong to the pool itself for ever.
    @dev The queue may be a predicted address without code yet; it checks this pool when it is deployed. Reverts:
         "seed: too small", "admin: not a contract", "peer: not wired to this contract", "parameter: out of bounds",
         "receiver: refused".
    """
    assert msg.value >= MIN_SEED, reasons.SEED
    assert setup.admin.is_contract, reasons.NOT_ADMIN_CONTRACT
    ledger.__init__(setup.queue, msg.value)
    reporting.__init__(setup.withdrawal_vault, setup.execution_vault)
    allowances.__init__(name)
    access_control.__init__()
    access_control._revoke_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    access_control._grant_role(access_control.DEFAULT_ADMIN_ROLE, setup.admin)
    access_control._grant_role(ORACLE_ROLE, setup.oracle)
    access_control._grant_role(REGISTRY_ROLE, setup.registry)
    access_control._grant_role(PAUSER_ROLE, setup.pauser)
    # A report that is held for the council stops what should not go on at a price that is in doubt.
    access_control._grant_role(PAUSER_ROLE, setup.oracle)

    self._set_parameters(setup.parameters)
    reporting._set_fee_recipient(setup.fee_recipient)
    self._set_deposit_ceiling(setup.deposit_ceiling_gwei)


@external
@payable
def __default__():
    """
    @notice Plain ETH stakes for its sender. Reverts: as `deposit`.
    """
    self._deposit(msg.value, msg.sender, 0)


# ---- ERC-20 ---------------------------------------------------------------------------------------


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice ERC-20. Shares sent to nobody, to this pool or to the queue would be lost, so that is refused.
    @dev Reverts: "receiver: refused", "balance: too low".
    """
    ledger._move(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice ERC-20; an owner needs no allowance for his own shares.
    @dev Reverts: "allowance: too low", "receiver: refused", "balance: too low".
    """
    allowances._spend(owner, amount)
    ledger._move(owner, to, amount)
    return True


# ---- entry ----------------------------------------------------------------------------------------


@external
@payable
def deposit(assets: uint256, receiver: address, min_shares: uint256 = 0, referral: address = empty(address)) -> uint256:
    """
    @notice Stake exactly `msg.value` (= `assets`) wei; `receiver` gets the shares (rounded down).
    @param min_shares The call reverts below this.
    @param referral Only logged, in `Referral`, when given.
    @dev Reverts: "deposit: value differs", "deposit: paused", "deposit: loss pending", "deposit: over the ceiling",
         "deposit: zero shares", "slippage: too few shares", "pool: no value", "pool: total over 96 bits",
         "receiver: refused".
    """
    if assets != msg.value:
        reasons._refuse(reasons.DEPOSIT_VALUE)
    shares: uint256 = self._deposit(msg.value, receiver, min_shares)
    if referral != empty(address):
        log IFloePool.Referral(referral=referral, owner=receiver, assets=msg.value, shares=shares)
    return shares


@external
@payable
def mint(shares: uint256, receiver: address) -> uint256:
    """
    @notice Buy exactly `shares`; the price (rounded up) is taken from `msg.value`, the rest goes back to the caller.
    @return The price in wei.
    @dev Reverts: as `deposit`, and "mint: value too low", "ether: send failed".
    """
    assets: uint256 = ledger._to_assets_up(shares)
    if assets == 0 and shares > 0:
        reasons._refuse(reasons.NO_VALUE)
    if assets > msg.value:
        reasons._refuse(reasons.MINT_VALUE)
    ledger._enter(assets, shares, ledger.totals, ledger.stream_word, receiver)
    if msg.value > assets:
        ledger._send(msg.sender, msg.value - assets)
    return assets


# ---- exit through the queue -----------------------------------------------------------------------


@external
def lock_for_exit(owner: address, shares: uint256):
    """
    @notice Move `shares` from `owner` to the queue. Queue only: it asks for nobody but its own caller.
    @dev Reverts: "caller: not the queue", "balance: too low".
    """
    if msg.sender != ledger.QUEUE.address:
        reasons._refuse(reasons.NOT_QUEUE)
    ledger._take(owner, shares)
    # The sum of all balances is below 2**96, so the low field cannot spill over.
    ledger.exits = unsafe_add(ledger.exits, shares)
    log IERC20.Transfer(sender=owner, receiver=msg.sender, value=shares)


@external
def fulfil(max_assets: uint256 = max_value(uint256)) -> (uint256, uint256):
    """
    @notice Pay eligible exits from the buffer at the exit rate of this instant (rounded down), oldest first, with at
            most `max_assets` wei. Anyone may call. Leavers take their part of a pending loss and of the deficit along.
    @return Shares burnt and wei paid.
    @dev Must empty the eligible queue or move 1 ETH. Reverts: "fulfil: paused", "fulfil: nothing to pay",
         "fulfil: too little", "pool: no value".
    """
    totals: uint256 = ledger.totals
    away: uint256 = ledger.away
    exits: uint256 = ledger.exits
    if away >> 192 > block.timestamp:
        reasons._refuse(reasons.FULFIL_PAUSED)
    supply: uint256 = totals & words.U96
    exit_value: uint256 = ledger._exit_value(totals, away)
    if exit_value == 0:
        reasons._refuse(reasons.NO_VALUE)

    eligible: uint256 = (exits >> 96) & words.U96
    payable_: uint256 = min(((totals >> 96) & words.U96) - (away & words.U96), max_assets)
    shares: uint256 = min(eligible, payable_ * supply // exit_value)
    if shares == 0:
        reasons._refuse(reasons.FULFIL_NOTHING)
    assets: uint256 = shares * exit_value // supply
    if shares < eligible and assets < MIN_FULFIL:
        reasons._refuse(reasons.FULFIL_TOO_LITTLE)

    settled_loss: uint256 = ledger._burn(totals, away, shares, assets)
    # Eligible shares are waiting shares: both fields hold at least `shares`.
    ledger.exits = unsafe_sub(exits, (shares << 96) | shares)
    log IERC20.Transfer(sender=ledger.QUEUE.address, receiver=empty(address), value=shares)
    log IFloePool.Fulfilled(shares=shares, assets=assets, settled_loss=settled_loss)
    # Eligible shares came through the queue, so there is code at its address.
    extcall ledger.QUEUE.settle(shares, value=assets, skip_contract_check=True)
    return shares, assets


# ---- validators and oracle ------------------------------------------------------------------------


@external
def send_to_validators(amount: uint256):
    """
    @notice Send `amount` wei of the buffer to the caller, who stakes it. Registry only, up to `stakeable()`.
    @dev Reverts: "access_control: account is missing role", "stake: over the limit", "ether: send failed".
    """
    access_control._check_role(REGISTRY_ROLE, msg.sender)
    away: uint256 = ledger.away
    if amount > ledger._stakeable():
        reasons._refuse(reasons.STAKE_LIMIT)
    ledger.away = words._with_pair(away, words._low(away) + amount, words._high(away))
    ledger.flows = unsafe_add(ledger.flows, amount)  # bounded by all the ETH there is
    log IFloePool.SentToValidators(registry=msg.sender, amount=amount)
    ledger._send(msg.sender, amount)


@external
def raise_pending_loss(gwei_: uint256):
    """
    @notice A slashing was proven: count `gwei_` Gwei of what is outside as lost, at once, until a report whose
            reference slot comes later knows better. Registry only.
    @dev Reverts: "access_control: account is missing role".
    """
    access_control._check_role(REGISTRY_ROLE, msg.sender)
    reporting._raise_pending_loss(gwei_)


@external
def report(report: IFloePool.Report):
    """
    @notice Book what happened to the validators up to the report's reference slot. Oracle only.
    @dev Reverts: "access_control: account is missing role", "report: deposits ahead of pool",
         "report: raises ahead of pool", "report: donations fell", "report: tail ahead of queue",
         "pool: total over 96 bits", "vault: balance too low".
    """
    access_control._check_role(ORACLE_ROLE, msg.sender)
    reporting._report(report)


# ---- admin and pauser -----------------------------------------------------------------------------


@external
def set_parameters(p: IFloePool.Parameters):
    """
    @notice Replace all live parameters. Admin only.
    @dev Reverts: "access_control: account is missing role", "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    self._set_parameters(p)


@external
def set_deposit_ceiling(gwei_: uint256):
    """
    @notice Let deposits raise the assets up to `gwei_` Gwei; 0 closes them. Admin only.
    @dev Reverts: "access_control: account is missing role", "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    self._set_deposit_ceiling(gwei_)


@external
def set_fee_recipient(recipient: address):
    """
    @notice Send the fee shares of later reports to `recipient`. Admin only.
    @dev Reverts: "access_control: account is missing role", "receiver: refused".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    reporting._set_fee_recipient(recipient)


@external
def pause(functions: IFloePool.Pausable, until: uint256):
    """
    @notice Stop deposits, fulfilments or instant exits until the time `until`, at most 14 days away; a time that has
            passed resumes them. Pauser only.
    @dev Reverts: "access_control: account is missing role", "pause: too long".
    """
    access_control._check_role(PAUSER_ROLE, msg.sender)
    if until > block.timestamp + MAX_PAUSE:
        reasons._refuse(reasons.PAUSE_TOO_LONG)
    if IFloePool.Pausable.DEPOSIT in functions:
        ledger.totals = words._with_time(ledger.totals, until)
    if IFloePool.Pausable.FULFIL in functions:
        ledger.away = words._with_time(ledger.away, until)
    if IFloePool.Pausable.INSTANT_EXIT in functions:
        ledger.past = (ledger.past & (2**216 - 1)) | (until << 216)
    log IFloePool.Paused(functions=functions, until=until)


# ---- inside ---------------------------------------------------------------------------------------


@internal
def _deposit(assets: uint256, receiver: address, min_shares: uint256) -> uint256:
    totals: uint256 = ledger.totals
    stream_word: uint256 = ledger.stream_word
    entry_value: uint256 = ((totals >> 96) & words.U96) - stream._locked(stream_word, block.timestamp)
    if entry_value == 0:
        reasons._refuse(reasons.NO_VALUE)
    shares: uint256 = assets * (totals & words.U96) // entry_value
    if shares < min_shares:
        reasons._refuse(reasons.MIN_SHARES)
    ledger._enter(assets, shares, totals, stream_word, receiver)
    return shares


@internal
def _set_parameters(p: IFloePool.Parameters):
    ledger.live = parameters._pack(p)
    log IFloePool.ParametersSet(parameters=p)


@internal
def _set_deposit_ceiling(gwei_: uint256):
    if gwei_ > MAX_CEILING_GWEI:
        reasons._refuse(reasons.PARAMETER)
    ledger.stream_word = (ledger.stream_word & (2**176 - 1)) | (gwei_ << 176)
    log IFloePool.DepositCeilingSet(gwei_=gwei_)
