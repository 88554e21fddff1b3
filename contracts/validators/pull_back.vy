# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Pulling stake back
@license GNU Affero General Public License v3.0 only
@notice Requests that the withdrawal vault makes of the beacon chain: withdrawals, partial and full (EIP-7002), and
        consolidations (EIP-7251). The keeper may make them at any time. Anyone may pull back what eligible exits miss
        once they are overdue, from operators that have more than their part of what should stay.
@dev A request is only that: nothing is booked before a proof or a report shows what came of it. The registry remembers
     what is under way, so that it is not asked for twice.
"""
from contracts.lib import reasons
from contracts.validators import beacon_chain
from contracts.validators import operators
from contracts.validators import validator_book
from interfaces import IValidatorRegistry
from interfaces import IWithdrawalQueue
from interfaces import IWithdrawalVault

uses: operators
uses: validator_book

MAX_REQUESTS: constant(uint256) = 64
PUBKEY: constant(uint256) = 48
DAY: constant(uint256) = 86_400
RATE_UNIT: constant(uint256) = 10**18
# Less than this could not be told from what effective balances vary by, so nobody could see whether it was paid.
MIN_PULL: constant(uint256) = 5 * 10**9  # Gwei
MIN_STAKE: constant(uint256) = 32 * 10**9  # Gwei; MIN_ACTIVATION_BALANCE
MAX_STAKE: constant(uint256) = 2_048 * 10**9  # Gwei; MAX_EFFECTIVE_BALANCE_ELECTRA

# EIP-7685 types
WITHDRAWAL: constant(uint256) = 1
CONSOLIDATION: constant(uint256) = 2

QUEUE: immutable(IWithdrawalQueue)
VAULT: immutable(IWithdrawalVault)

# @notice Day (seconds since the epoch // 86,400) -> position on the queue's line up to which exits were eligible then.
eligible_on: public(HashMap[uint256, uint256])


@deploy
def __init__(queue: IWithdrawalQueue, vault: IWithdrawalVault):
    QUEUE = queue
    VAULT = vault


@external
def record_exits():
    """
    @notice Note up to where exits are eligible today; anyone may, again when there are more. Where that position is not
            paid when the promise, counted from the end of the day, is over, anyone may pull back stake.
    @dev Reverts: "exits: recorded already".
    """
    today: uint256 = block.timestamp // DAY
    position: uint256 = staticcall QUEUE.filled() + self._eligible()
    if position <= self.eligible_on[today]:
        reasons._refuse(reasons.EXITS_RECORDED)
    self.eligible_on[today] = position
    log IValidatorRegistry.ExitsRecorded(day=today, position=position)


@external
@view
def overdue(day: uint256) -> bool:
    """
    @notice Whether exits that were eligible on `day` are unpaid although the promise is over.
    """
    return self._overdue(day, 1)


@external
@view
def missing() -> uint256:
    """
    @notice Wei that eligible exits need at the exit rate (rounds up), beyond the buffer, what lies in the withdrawal
            vault, and what is under way to it.
    """
    return self._missing()


@internal
@payable
def _request_withdrawals(
    pubkeys: Bytes[PUBKEY * MAX_REQUESTS], amounts: DynArray[uint256, MAX_REQUESTS], day: uint256, keeper: bool
) -> uint256:
    count: uint256 = len(amounts)
    if count == 0 or len(pubkeys) != PUBKEY * count:
        reasons._refuse(reasons.KEYS_LENGTH)
    missing: uint256 = 0  # Gwei; the keeper is not held to it
    keep: uint256 = 0  # Gwei; what should stay staked
    seen_by: uint256 = block.timestamp
    if not keeper:
        # A request that the beacon chain ignores would hold up others: it heeds none in a validator's first 27 hours.
        seen_by -= validator_book.REQUEST_TIME
        if not self._overdue(day, 1):
            reasons._refuse(reasons.NOT_OVERDUE)
        missing = (self._missing() + operators.WEI_IN_GWEI - 1) // operators.WEI_IN_GWEI
        # Where the operators above their part have nothing that the beacon chain would give, all are asked in the end.
        if not self._overdue(day, 2):
            staked: uint256 = operators._staked()
            keep = staked - min(missing, staked)
    payloads: DynArray[Bytes[256], MAX_REQUESTS] = []
    for k: uint256 in range(count, bound=MAX_REQUESTS):
        pubkey: Bytes[PUBKEY] = slice(pubkeys, k * PUBKEY, PUBKEY)
        key: bytes32 = beacon_chain._key(pubkey)
        amount: uint256 = amounts[k]
        full: bool = amount == 0
        was: IValidatorRegistry.Validator = validator_book._load(key)
        self._check_at_rest(was, seen_by)
        v: IValidatorRegistry.Validator = was
        # A validator below 32 ETH has nothing to spare.
        spare: uint256 = was.stake - min(MIN_STAKE, was.stake)
        if not keeper:
            if operators._stake(v.operator) <= operators._part(v.operator, keep):
                reasons._refuse(reasons.NOT_ABOVE_QUOTA)
            # A whole validator goes only where its spare part would not do; of that as much as is missing.
            worth: uint256 = max(missing, MIN_PULL)
            if missing == 0 or (full and worth <= spare):
                reasons._refuse(reasons.PULL_AMOUNT)
            if not full:
                amount = min(spare, worth)
        v.pulled = amount
        if full:
            v.state = IValidatorRegistry.State.EXITING
            v.pulled = was.stake
        elif amount < MIN_PULL or amount > spare:
            reasons._refuse(reasons.PULL_AMOUNT)
        missing -= min(v.pulled, missing)
        v.pulled_at = block.timestamp
        validator_book._save(key, was, v)
        log IValidatorRegistry.WithdrawalRequested(key=key, amount=v.pulled, full=full)
        # 48 bytes of key, then the amount in Gwei as eight bytes, the highest first; 0 asks for everything.
        payloads.append(concat(pubkey, convert(convert(amount, uint64), bytes8)))
    return extcall VAULT.request(WITHDRAWAL, payloads, msg.sender, value=msg.value)


@internal
@payable
def _consolidate(sources: Bytes[PUBKEY * MAX_REQUESTS], targets: Bytes[PUBKEY * MAX_REQUESTS]) -> uint256:
    if len(sources) == 0 or len(sources) % PUBKEY != 0 or len(targets) != len(sources):
        reasons._refuse(reasons.KEYS_LENGTH)
    payloads: DynArray[Bytes[256], MAX_REQUESTS] = []
    for k: uint256 in range(len(sources) // PUBKEY, bound=MAX_REQUESTS):
        source: Bytes[PUBKEY] = slice(sources, k * PUBKEY, PUBKEY)
        target: Bytes[PUBKEY] = slice(targets, k * PUBKEY, PUBKEY)
        source_key: bytes32 = beacon_chain._key(source)
        target_key: bytes32 = beacon_chain._key(target)
        # The beacon chain would take it for a change of credentials.
        if source_key == target_key:
            reasons._refuse(reasons.SAME_VALIDATOR)
        self._move(source_key, target_key)
        log IValidatorRegistry.ConsolidationRequested(source=source_key, target=target_key)
        payloads.append(concat(source, target))
    return extcall VAULT.request(CONSOLIDATION, payloads, msg.sender, value=msg.value)


@internal
def _move(source_key: bytes32, target_key: bytes32):
    """
    @notice Book that a validator is to move into another of the same operator. The source leaves, and nothing of it
            comes to the vault.
    """
    source: IValidatorRegistry.Validator = validator_book._load(source_key)
    target: IValidatorRegistry.Validator = validator_book._load(target_key)
    self._check_at_rest(source, block.timestamp)
    self._check_at_rest(target, block.timestamp)
    if source.operator != target.operator:
        reasons._refuse(reasons.OTHER_OPERATOR)
    emptied: IValidatorRegistry.Validator = source
    emptied.state = IValidatorRegistry.State.EXITING
    emptied.stake = 0
    emptied.pulled_at = block.timestamp
    validator_book._save(source_key, source, emptied)
    filled: IValidatorRegistry.Validator = target
    filled.stake += source.stake
    if filled.stake > MAX_STAKE:
        reasons._refuse(reasons.STAKE_BOUNDS)
    filled.topped_at = block.timestamp
    validator_book._save(target_key, target, filled)


@internal
@view
def _check_at_rest(v: IValidatorRegistry.Validator, seen_by: uint256):
    """
    @notice Stake is moved only with an active validator for which nothing is under way, and which was proven active on
            the beacon chain (or last asked) by the time `seen_by`; with the highest number, whether it was or not.
    """
    if (
        v.state != IValidatorRegistry.State.ACTIVE
        or v.pulled > 0
        or unsafe_sub(v.pulled_at, 1) > seen_by  # 0, never, becomes the highest number
    ):
        reasons._refuse(reasons.VALIDATOR_STATE)


@internal
@view
def _overdue(day: uint256, times: uint256) -> bool:
    """
    @notice Whether exits of that day are unpaid although the promise is over so many times.
    """
    promise: uint256 = (validator_book.live >> 16) * times
    return block.timestamp >= (day + 1) * DAY + promise and staticcall QUEUE.filled() < self.eligible_on[day]


@internal
@view
def _missing() -> uint256:
    needed: uint256 = (self._eligible() * staticcall operators.POOL.exit_rate() + RATE_UNIT - 1) // RATE_UNIT
    there: uint256 = (
        staticcall operators.POOL.buffer() + VAULT.address.balance + operators._under_way() * operators.WEI_IN_GWEI
    )
    return needed - min(there, needed)


@internal
@view
def _eligible() -> uint256:
    """
    @notice Shares of exits that may be paid now.
    """
    return ((staticcall operators.POOL.state())[4] >> 96) & (2**96 - 1)
