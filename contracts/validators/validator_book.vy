# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Validator book
@license GNU Affero General Public License v3.0 only
@notice The records of all validators, and what a proven beacon state changes in them. One word each:

            state u8 | operator u16 | index u40 | stake u48 | pulled u48 (Gwei) | topped at u32 | pulled at u32
            | proven at u32

        `stake` follows the ETH: it rises with a top-up, to the effective balance that a proof shows, and, when the last
        top-up is too long ago to be still in the deposit queue, a proof sets it. A state older than the one proven last
        changes nothing.
"""
from contracts.lib import reasons
from contracts.lib import ssz
from contracts.validators import beacon_chain
from contracts.validators import operators
from interfaces import IValidatorRegistry

uses: beacon_chain
uses: operators

U16: constant(uint256) = 2**16 - 1
U32: constant(uint256) = 2**32 - 1
U40: constant(uint256) = 2**40 - 1
U48: constant(uint256) = 2**48 - 1
BPS: constant(uint256) = 10_000
GWEI_IN_ETHER: constant(uint256) = 10**9

# Less would let a late report pull stake; more would not be a promise.
MIN_PROMISE: constant(uint256) = 86_400
MAX_PROMISE: constant(uint256) = 30 * 86_400

# `pulled_at` of a validator whose exit stands in the beacon state: it cannot be taken back.
SEEN: constant(uint256) = 2**32 - 1
# A request that the beacon chain has not shown for so long was dropped; a partial withdrawal that it has paid may be
# forgotten. Longer than MIN_VALIDATOR_WITHDRAWABILITY_DELAY (27 hours).
REQUEST_TIME: constant(uint256) = 2 * 86_400
# Longer than withdrawals (45 days), and deposits, have ever waited in the beacon chain's queues.
WITHDRAWAL_TIME: constant(uint256) = 64 * 86_400
DEPOSIT_TIME: constant(uint256) = 128 * 86_400
# A report that came so long after a slashing has seen it.
REPORT_TIME: constant(uint256) = 2 * 86_400

# Members of `State`, as they stand in a record.
PREDEPOSITED: constant(uint256) = 1
PROVEN: constant(uint256) = 2
COMPROMISED: constant(uint256) = 32

# slashing u16 (bps) | promise u32 (seconds)
live: uint256
book: HashMap[bytes32, uint256]


@external
@view
def validator(key: bytes32) -> IValidatorRegistry.Validator:
    """
    @notice What the registry knows of the validator `key`.
    """
    return self._load(key)


@external
@view
def parameters() -> IValidatorRegistry.Parameters:
    """
    @notice The live parameters.
    """
    return IValidatorRegistry.Parameters(slashing_bps=self.live & U16, promise=self.live >> 16)


@internal
def _set_parameters(p: IValidatorRegistry.Parameters):
    """
    @notice Replace the live parameters. Reverts outside their bounds: "parameter: out of bounds".
    """
    if p.slashing_bps == 0 or p.slashing_bps > BPS:
        reasons._refuse(reasons.PARAMETER)
    if p.promise < MIN_PROMISE or p.promise > MAX_PROMISE:
        reasons._refuse(reasons.PARAMETER)
    self.live = p.slashing_bps | (p.promise << 16)
    log IValidatorRegistry.ParametersSet(parameters=p)


@internal
@view
def _load(key: bytes32) -> IValidatorRegistry.Validator:
    word: uint256 = self.book[key]
    return IValidatorRegistry.Validator(
        state=convert(word & 255, IValidatorRegistry.State),
        operator=(word >> 8) & U16,
        index=(word >> 24) & U40,
        stake=(word >> 64) & U48,
        pulled=(word >> 112) & U48,
        topped_at=(word >> 160) & U32,
        pulled_at=(word >> 192) & U32,
        proven_at=word >> 224,
    )


@internal
def _save(key: bytes32, was: IValidatorRegistry.Validator, v: IValidatorRegistry.Validator):
    """
    @notice Write `v` in the place of `was`, and what follows for its operator and for all.
    """
    self.book[key] = (
        convert(v.state, uint256)
        | (v.operator << 8)
        | (v.index << 24)
        | (v.stake << 64)
        | (v.pulled << 112)
        | (v.topped_at << 160)
        | (v.pulled_at << 192)
        | (v.proven_at << 224)
    )
    operators._change_stake(v.operator, self._staying(v) - self._staying(was), self._leaving(v) - self._leaving(was))


@internal
@view
def _staying(v: IValidatorRegistry.Validator) -> int256:
    """
    @notice Gwei that count as staked: an active validator's stake less what is under way.
    """
    if v.state != IValidatorRegistry.State.ACTIVE:
        return 0
    return convert(v.stake - v.pulled, int256)


@internal
@view
def _leaving(v: IValidatorRegistry.Validator) -> int256:
    """
    @notice Gwei that are under way to the withdrawal vault. A slashed validator's come too late to count on.
    """
    if v.state not in (IValidatorRegistry.State.ACTIVE | IValidatorRegistry.State.EXITING):
        return 0
    return convert(v.pulled, int256)


@internal
def _update(witness: IValidatorRegistry.Witness, at: uint256):
    """
    @notice Bring one record up to date with what is proven of the time `at`. Reverts: "validator: not in this state".
    """
    key: bytes32 = witness.chunks[0]
    word: uint256 = self.book[key]
    rest: bool = witness.chunks[3] == empty(bytes32) and witness.chunks[6] == beacon_chain.FAR_FUTURE
    if word & 255 == PREDEPOSITED:
        if witness.chunks[1] != beacon_chain.CREDENTIALS:
            self.book[key] = COMPROMISED | (word & (U16 << 8)) | (witness.index << 24)
            operators._close((word >> 8) & U16)
            log IValidatorRegistry.Compromised(key=key, index=witness.index, credentials=witness.chunks[1])
            return
        word = PROVEN | (word & (U16 << 8)) | (witness.index << 24)
        log IValidatorRegistry.Proven(key=key, index=witness.index)
        if rest:
            # Nearly always: nothing else is to be written.
            self.book[key] = word | (at << 224)
            return
        self.book[key] = word

    was: IValidatorRegistry.Validator = self._load(key)
    known: bool = was.state in (
        IValidatorRegistry.State.PROVEN
        | IValidatorRegistry.State.ACTIVE
        | IValidatorRegistry.State.EXITING
        | IValidatorRegistry.State.SLASHED
    )
    if not known:
        reasons._refuse(reasons.VALIDATOR_STATE)
    if was.state == IValidatorRegistry.State.SLASHED or at <= was.proven_at:
        return
    v: IValidatorRegistry.Validator = was
    v.proven_at = at
    if rest:
        if v.topped_at > 0:
            v = self._follow(key, v, ssz._from_chunk(witness.chunks[2]), ssz._from_chunk(witness.chunks[5]))
        self._save(key, was, v)
    elif witness.chunks[3] == empty(bytes32):
        if v.state != IValidatorRegistry.State.EXITING:
            v.pulled = v.stake
        v.state = IValidatorRegistry.State.EXITING
        v.pulled_at = SEEN
        self._save(key, was, v)
        if was.pulled_at != SEEN:
            log IValidatorRegistry.Exiting(key=key)
    else:
        v.state = IValidatorRegistry.State.SLASHED
        v.pulled = 0
        if v.topped_at > 0:
            v.stake = ssz._from_chunk(witness.chunks[2])
        self._save(key, was, v)
        operators._suspend(v.operator)
        self._raise_pending_loss(key, v, ssz._from_chunk(witness.chunks[7]))


@internal
def _follow(
    key: bytes32, before: IValidatorRegistry.Validator, balance: uint256, activation_epoch: uint256
) -> IValidatorRegistry.Validator:
    """
    @notice What the effective `balance` (Gwei) of a staked validator without an exit epoch says about its stake and
            about a request that is under way.
    """
    v: IValidatorRegistry.Validator = before
    at: uint256 = v.proven_at
    if v.pulled_at == 0 and activation_epoch <= beacon_chain._epoch_at(at):
        v.pulled_at = at
    if v.state == IValidatorRegistry.State.ACTIVE and v.pulled == 0:
        if v.stake < balance or at > v.topped_at + DEPOSIT_TIME:
            v.stake = balance
    elif at > v.pulled_at + REQUEST_TIME:
        # The effective balance is in whole ETH, and rewards add to it: half of what was asked for is enough.
        paid: bool = (v.state == IValidatorRegistry.State.ACTIVE and balance + v.pulled // 2 <= v.stake + GWEI_IN_ETHER)
        if paid:
            v.stake = max(v.stake - v.pulled, balance)
            v.pulled = 0
        elif v.state == IValidatorRegistry.State.EXITING or at > v.pulled_at + WITHDRAWAL_TIME:
            v.state = IValidatorRegistry.State.ACTIVE
            v.stake = max(v.stake, balance)
            v.pulled = 0
            log IValidatorRegistry.RequestDropped(key=key)
    return v


@internal
def _raise_pending_loss(key: bytes32, v: IValidatorRegistry.Validator, withdrawable_epoch: uint256):
    """
    @notice Raise the pool's pending loss by the live part of a slashed validator's stake (rounds up), unless it was
            never the pool's, or a report has seen the slashing.
    """
    estimate: uint256 = 0
    if v.topped_at > 0:
        reported_at: uint256 = ((staticcall operators.POOL.state())[3] >> 96) & U40
        if reported_at < beacon_chain._slashed_at(withdrawable_epoch) + REPORT_TIME:
            estimate = (v.stake * (self.live & U16) + BPS - 1) // BPS
            extcall operators.POOL.raise_pending_loss(estimate)
    log IValidatorRegistry.Slashed(key=key, estimate=estimate)
