# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Validator registry
@license GNU Affero General Public License v3.0 only
@notice The way from the buffer to the beacon chain and back. An operator deposits 1 ETH of its own bond for a new key;
        anyone proves, against the block roots of EIP-4788, that the validator withdraws to our vault; only then does
        the pool's ETH go there, up to the operator's quota. The rules lie beside this file: `beacon_chain.vy` checks
        proofs and makes deposits, `operators.vy` keeps operators and bonds, `validator_book.vy` the records of
        validators and what a proof changes, `pull_back.vy` makes withdrawals and consolidations.

            NONE -> PREDEPOSITED -> PROVEN -> ACTIVE -> EXITING -> CLOSED
                          |           any of these three -> SLASHED -> CLOSED
                          +-> COMPROMISED

@dev What stops it, who can, and what still works then: while the pool's deposits are paused no ETH leaves it, so there
     are no top-ups. Proofs always work, and so does pulling back once exits are overdue. The admin (a timelock) sets
     parameters inside bounds, adds forks, and can replace this contract; keys stay where they are.
"""
from snekmate.auth import access_control
from contracts.lib import reasons
from contracts.lib import ssz
from contracts.validators import beacon_chain
from contracts.validators import operators
from contracts.validators import pull_back
from contracts.validators import validator_book
from interfaces import IFloePool
from interfaces import IValidatorRegistry
from interfaces import IWithdrawalQueue
from interfaces import IWithdrawalVault

implements: IValidatorRegistry

initializes: access_control
initializes: beacon_chain
initializes: operators
initializes: validator_book[beacon_chain := beacon_chain, operators := operators]
initializes: pull_back[operators := operators, validator_book := validator_book]

exports: (
    access_control.DEFAULT_ADMIN_ROLE,
    access_control.grantRole,
    access_control.hasRole,
    access_control.revokeRole,
)
exports: (
    beacon_chain.chain_constants,
    beacon_chain.credentials,
)
exports: (
    operators.add_bond,
    operators.operator,
    operators.operator_count,
    operators.quota,
    operators.set_reward_address,
    operators.staked,
    operators.total_weight,
    operators.under_way,
    operators.withdraw_bond,
)
exports: (
    pull_back.eligible_on,
    pull_back.missing,
    pull_back.overdue,
    pull_back.record_exits,
)
exports: (
    validator_book.parameters,
    validator_book.validator,
)

# @notice May add operators and change their manager, weight and limit.
OPERATORS_ROLE: public(constant(bytes32)) = keccak256("OPERATORS_ROLE")
# @notice May request withdrawals at any time, and consolidations.
KEEPER_ROLE: public(constant(bytes32)) = keccak256("KEEPER_ROLE")

MAX_KEYS: constant(uint256) = 100
PUBKEY: constant(uint256) = 48
SIGNATURE: constant(uint256) = 96
PREDEPOSIT: constant(uint256) = 10**9  # Gwei
MIN_TOP_UP: constant(uint256) = 10**9  # Gwei; the deposit contract takes no less
# What a top-up relies on was true so many slots ago: 51 minutes on mainnet.
FRESH_SLOTS: constant(uint256) = 256


@deploy
def __init__(
    pool: IFloePool,
    admin: address,
    council: address,
    keepers: DynArray[address, 16],
    constants: IValidatorRegistry.Chain,
    forks: DynArray[IValidatorRegistry.Fork, 16],
    parameters: IValidatorRegistry.Parameters,
):
    """
    @param council Gets `OPERATORS_ROLE`.
    @dev Reverts: "admin: not a contract", "fork: not after the last", "parameter: out of bounds".
    """
    assert admin.is_contract, reasons.NOT_ADMIN_CONTRACT
    withdrawal_vault: address = staticcall pool.withdrawal_vault()
    beacon_chain.__init__(constants, forks, withdrawal_vault)
    operators.__init__(pool)
    pull_back.__init__(IWithdrawalQueue(staticcall pool.queue()), IWithdrawalVault(withdrawal_vault))
    access_control.__init__()
    access_control._revoke_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    access_control._grant_role(access_control.DEFAULT_ADMIN_ROLE, admin)
    access_control._grant_role(OPERATORS_ROLE, council)
    for keeper: address in keepers:
        access_control._grant_role(KEEPER_ROLE, keeper)
    validator_book._set_parameters(parameters)


@external
@payable
@reentrant
def __default__():
    """
    @notice Take the ETH that a top-up asks the pool for. Pool only. Reverts: "caller: not the pool".
    """
    if msg.sender != operators.POOL.address:
        reasons._refuse(reasons.NOT_POOL)


# ---- from the buffer to the beacon chain ----------------------------------------------------------


@external
@payable
def predeposit(operator: uint256, pubkeys: Bytes[PUBKEY * MAX_KEYS], signatures: Bytes[SIGNATURE * MAX_KEYS]):
    """
    @notice Deposit 1 ETH of the operator's bond, with our withdrawal credentials, for each of its new keys. `msg.value`
            joins the bond first. Its manager only. The ETH is bought back by the first top-up, after the proof; where
            the credentials, the signature or the key are wrong, it is the operator's loss.
    @param pubkeys BLS public keys of 48 bytes, one after the other.
    @param signatures Of the deposit messages, 96 bytes each.
    @dev Reverts: "caller: not the manager", "keys: wrong length", "validator: known already", "bond: too low",
         "bond: not whole Gwei", "operator: over its limit", "deposit contract: no code", and as the deposit contract.
    """
    operators._check_manager(operator)
    beacon_chain._check_deposit_contract()
    count: uint256 = len(pubkeys) // PUBKEY
    if count == 0 or len(pubkeys) != count * PUBKEY or len(signatures) != count * SIGNATURE:
        reasons._refuse(reasons.KEYS_LENGTH)
    operators._change_bond(
        operator, convert(operators._to_gwei(msg.value), int256) - convert(count * PREDEPOSIT, int256)
    )
    operators._open(operator, count)
    record: uint256 = convert(IValidatorRegistry.State.PREDEPOSITED, uint256) | (operator << 8)
    for k: uint256 in range(count, bound=MAX_KEYS):
        pubkey: Bytes[PUBKEY] = slice(pubkeys, k * PUBKEY, PUBKEY)
        key: bytes32 = beacon_chain._key(pubkey)
        if validator_book.book[key] != 0:
            reasons._refuse(reasons.KEY_KNOWN)
        validator_book.book[key] = record
        log IValidatorRegistry.Predeposited(operator=operator, key=key)
        signature: Bytes[SIGNATURE] = slice(signatures, k * SIGNATURE, SIGNATURE)
        beacon_chain._deposit(pubkey, key, PREDEPOSIT, signature, beacon_chain._signature_root(signature))


@external
def prove(proof: IValidatorRegistry.Proof):
    """
    @notice Bring validators up to date with a beacon state: whose withdrawal credentials they have, whether they were
            slashed, are leaving, or have ignored a request, and how much they hold. Anyone may call. A slashing raises
            the pool's pending loss at once.
    @dev Reverts: "block root: not known", "proof: wrong root", "proof: wrong length",
         "proof: index too high", "proof: not in one subtree", "fork: none for this slot",
         "validator: not in this state", "access_control: account is missing role" (the pool's, for a slashing).
    """
    at: uint256 = beacon_chain._check_header(proof.timestamp, proof.header)
    leaves: DynArray[bytes32, ssz.MAX_NODES] = []
    indices: DynArray[uint256, ssz.MAX_NODES] = []
    for witness: IValidatorRegistry.Witness in proof.witnesses:
        leaves.append(beacon_chain._leaf(witness))
        indices.append(witness.index)
    if len(indices) == 0:
        reasons._refuse(reasons.PROOF_LENGTH)
    first: uint256 = beacon_chain._validators_gindex(proof.header, indices[0], indices[len(indices) - 1])
    beacon_chain._check_state(proof.header, ssz._root(leaves, first, indices, proof.branch))
    for witness: IValidatorRegistry.Witness in proof.witnesses:
        validator_book._update(witness, at)


@external
def prove_one(
    timestamp: uint256,
    header: IValidatorRegistry.Header,
    witness: IValidatorRegistry.Witness,
    branch: DynArray[bytes32, ssz.MAX_BRANCH],
):
    """
    @notice As `prove`, for one validator: cheaper, because no memory is laid out for a hundred. Reverts: as `prove`.
    """
    self._prove_one(timestamp, header, witness, branch)


@internal
def _prove_one(
    timestamp: uint256,
    header: IValidatorRegistry.Header,
    witness: IValidatorRegistry.Witness,
    branch: DynArray[bytes32, ssz.MAX_BRANCH],
):
    at: uint256 = beacon_chain._check_header(timestamp, header)
    first: uint256 = beacon_chain._validators_gindex(header, witness.index, witness.index)
    node: bytes32 = ssz._climb(beacon_chain._leaf(witness), first + witness.index, branch)
    beacon_chain._check_state(header, node)
    validator_book._update(witness, at)


@external
def top_up(pubkeys: Bytes[PUBKEY * MAX_KEYS], amounts: DynArray[uint256, MAX_KEYS]):
    """
    @notice Stake the pool's ETH with validators that are ours, neither leaving nor slashed, as was proven of a state
            that is at most 256 slots old; within the quota of their operators and `stakeable()`. Anyone may call. The
            first top-up of a validator also puts its predeposit back into the operator's bond.
    @param pubkeys BLS public keys of 48 bytes, one after the other.
    @param amounts Gwei for each.
    @dev Reverts: "keys: wrong length", "validator: proof too old", "validator: not in this state",
         "top-up: below 1 ETH", "stake: not 32 to 2048 ETH", "operator: over its limit", "operator: over its quota",
         "stake: over the limit", "deposit contract: no code", "access_control: account is missing role" (the pool's).
    """
    beacon_chain._check_deposit_contract()
    count: uint256 = len(amounts)
    if len(pubkeys) != count * PUBKEY:
        reasons._refuse(reasons.KEYS_LENGTH)
    assets: uint256 = staticcall operators.POOL.totalAssets() // operators.WEI_IN_GWEI
    taken: uint256 = 0
    for k: uint256 in range(count, bound=MAX_KEYS):
        taken += self._book_top_up(beacon_chain._key(slice(pubkeys, k * PUBKEY, PUBKEY)), amounts[k], assets)
    extcall operators.POOL.send_to_validators(taken * operators.WEI_IN_GWEI)
    # The signature of a deposit to a known validator is not looked at (consensus-specs, apply_pending_deposit).
    signature: Bytes[SIGNATURE] = concat(empty(bytes32), empty(bytes32), empty(bytes32))
    for k: uint256 in range(count, bound=MAX_KEYS):
        pubkey: Bytes[PUBKEY] = slice(pubkeys, k * PUBKEY, PUBKEY)
        beacon_chain._deposit(
            pubkey, beacon_chain._key(pubkey), amounts[k], signature, beacon_chain.SIGNATURE_ZERO_ROOT
        )


@internal
def _book_top_up(key: bytes32, amount: uint256, assets: uint256) -> uint256:
    """
    @notice Book a top-up of `amount` while the pool has `assets` (Gwei).
    @return Gwei that the pool has to pay: the amount, and for the first top-up the predeposit.
    """
    was: IValidatorRegistry.Validator = validator_book._load(key)
    v: IValidatorRegistry.Validator = was
    bought: uint256 = 0
    if v.state == IValidatorRegistry.State.PROVEN:
        bought = PREDEPOSIT
        v.state = IValidatorRegistry.State.ACTIVE
        v.stake = PREDEPOSIT
        operators._change_bond(v.operator, convert(bought, int256))
    else:
        pull_back._check_at_rest(v, max_value(uint256))
    if v.proven_at + FRESH_SLOTS * beacon_chain.SECONDS_PER_SLOT < block.timestamp:
        reasons._refuse(reasons.PROOF_OLD)
    if amount < MIN_TOP_UP:
        reasons._refuse(reasons.TOP_UP_SMALL)
    v.stake += amount
    if v.stake < pull_back.MIN_STAKE or v.stake > pull_back.MAX_STAKE:
        reasons._refuse(reasons.STAKE_BOUNDS)
    v.topped_at = block.timestamp
    validator_book._save(key, was, v)
    operators._open(v.operator, 0)  # not while it is suspended
    if operators._stake(v.operator) > operators._part(v.operator, assets):
        reasons._refuse(reasons.OVER_QUOTA)
    log IValidatorRegistry.ToppedUp(operator=v.operator, key=key, amount=amount, bought=bought)
    return amount + bought


# ---- and back -------------------------------------------------------------------------------------


@external
@payable
def request_withdrawals(pubkeys: Bytes[PUBKEY * 64], amounts: DynArray[uint256, 64], day: uint256 = 0) -> uint256:
    """
    @notice Ask the beacon chain to withdraw (EIP-7002) from active validators for which nothing is under way. The
            keeper may at any time; anyone while exits that were eligible on `day` are overdue, up to what is missing,
            from operators that have more than their part of what should stay. `msg.value` is the most that may be
            spent on fees; the rest comes back.
    @param amounts Gwei for each key; 0 asks for the whole validator. A part is 5 ETH at least and leaves 32 ETH behind;
           strangers get as much of it as is missing, whatever they say.
    @return The wei of fees.
    @dev Reverts: "keys: wrong length", "exits: not overdue", "validator: not in this state", "withdrawal: too much",
         "operator: not above its quota", and as `WithdrawalVault.request`.
    """
    return pull_back._request_withdrawals(pubkeys, amounts, day, access_control.hasRole[KEEPER_ROLE][msg.sender])


@external
@payable
def consolidate(sources: Bytes[PUBKEY * 64], targets: Bytes[PUBKEY * 64]) -> uint256:
    """
    @notice Ask the beacon chain to move the validators `sources` into the validators `targets` (EIP-7251). Both must be
            ours and active, with nothing under way. Keeper only. `msg.value` as in `request_withdrawals`.
    @return The wei of fees.
    @dev Reverts: "access_control: account is missing role", "keys: wrong length", "consolidation: same validator",
         "consolidation: other operator", "validator: not in this state", "stake: not 32 to 2048 ETH", and as
         `WithdrawalVault.request`.
    """
    access_control._check_role(KEEPER_ROLE, msg.sender)
    return pull_back._consolidate(sources, targets)


@external
def prove_withdrawn(
    timestamp: uint256,
    header: IValidatorRegistry.Header,
    witness: IValidatorRegistry.Witness,
    branch: DynArray[bytes32, ssz.MAX_BRANCH],
    balance: bytes32,
    balance_branch: DynArray[bytes32, ssz.MAX_BRANCH],
):
    """
    @notice Close a validator that may withdraw and has nothing left. Anyone may call.
    @param balance The chunk of four balances that holds the validator's.
    @param balance_branch From that chunk up to the state root.
    @dev Reverts: as `prove` ("access_control: account is missing role" included), and "validator: not withdrawn".
    """
    self._prove_one(timestamp, header, witness, branch)
    chunk: uint256 = witness.index // 4
    first: uint256 = beacon_chain._balances_gindex(header, chunk)
    beacon_chain._check_state(header, ssz._climb(balance, first + chunk, balance_branch))
    key: bytes32 = witness.chunks[0]
    was: IValidatorRegistry.Validator = validator_book._load(key)
    if was.state == IValidatorRegistry.State.COMPROMISED:
        reasons._refuse(reasons.VALIDATOR_STATE)
    epoch: uint256 = convert(header.slot, uint256) // beacon_chain.SLOTS_PER_EPOCH
    may: bool = ssz._from_chunk(witness.chunks[7]) <= epoch
    if not may or ssz._from_chunk(balance, witness.index % 4) > 0:
        reasons._refuse(reasons.NOT_WITHDRAWN)
    v: IValidatorRegistry.Validator = was
    v.state = IValidatorRegistry.State.CLOSED
    v.stake = 0
    v.pulled = 0
    validator_book._save(key, was, v)
    operators._close(v.operator)
    log IValidatorRegistry.Closed(key=key)


# ---- admin and council ----------------------------------------------------------------------------


@external
def add_operator(manager: address, reward_address: address, weight: uint256, limit: uint256) -> uint256:
    """
    @notice Add an operator with at most `limit` open validators. Council only.
    @return Its id.
    @dev Reverts: "access_control: account is missing role", "operator: too many", "operator: number too large",
         "receiver: refused".
    """
    access_control._check_role(OPERATORS_ROLE, msg.sender)
    return operators._add(manager, reward_address, weight, limit)


@external
def set_operator(id: uint256, manager: address, weight: uint256, limit: uint256):
    """
    @notice Replace manager, weight and limit of an operator. One with more open validators than its limit gets neither
            keys nor stake. Council only.
    @dev Reverts: "access_control: account is missing role", "operator: does not exist", "operator: number too large",
         "receiver: refused".
    """
    access_control._check_role(OPERATORS_ROLE, msg.sender)
    operators._set(id, manager, weight, limit)


@external
def add_fork(fork: IValidatorRegistry.Fork):
    """
    @notice Append the places of validators and balances in the beacon state from a slot on. Admin only.
    @dev Reverts: "access_control: account is missing role", "fork: not after the last", "fork: too many",
         "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    beacon_chain._add_fork(fork)


@external
def set_parameters(p: IValidatorRegistry.Parameters):
    """
    @notice Replace the live parameters. Admin only.
    @dev Reverts: "access_control: account is missing role", "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    validator_book._set_parameters(p)


@external
@view
def forks() -> DynArray[IValidatorRegistry.Fork, 16]:
    """
    @notice The table of forks.
    """
    return beacon_chain._forks()
