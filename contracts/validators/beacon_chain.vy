# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Beacon chain
@license GNU Affero General Public License v3.0 only
@notice What the registry needs of the beacon chain: its constants, the roots of its blocks (EIP-4788), the places of
        validators and balances in its state, which change with its forks, and its deposit contract.
"""
from contracts.lib import reasons
from contracts.lib import ssz
from contracts.lib import words
from interfaces import IValidatorRegistry

BLOCK_ROOTS: constant(address) = 0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02

# VALIDATOR_REGISTRY_LIMIT: a higher index would lead out of the list, into another field of the state.
INDEX_LIMIT: constant(uint256) = 2**40
MAX_FORKS: constant(uint256) = 16
# The subtrees of a ProgressiveList with 2**40 elements.
MAX_SUBTREES: constant(uint256) = 21
U64: constant(uint256) = 2**64 - 1
FAR_FUTURE: constant(bytes32) = 0xffffffffffffffff000000000000000000000000000000000000000000000000

SIGNATURE_ZERO_ROOT: constant(bytes32) = 0xdb56114e00fdd4c1f85c892bf35ac9a89289aaecb1ebd0a96cde606a748b5d71


interface DepositContract:
    def deposit(
        pubkey: Bytes[48], withdrawal_credentials: Bytes[32], signature: Bytes[96], deposit_data_root: bytes32
    ): payable


DEPOSIT_CONTRACT: immutable(DepositContract)
GENESIS_TIME: immutable(uint256)
SECONDS_PER_SLOT: immutable(uint256)
SLOTS_PER_EPOCH: immutable(uint256)
SLASHINGS_VECTOR: immutable(uint256)
# Withdrawal credentials of all our validators.
CREDENTIALS: immutable(bytes32)

# The latest first: first slot u64 | gindex of validators[0] u96 | gindex of the chunk of balances[0] u96
forks: uint256[MAX_FORKS]


@deploy
def __init__(
    constants: IValidatorRegistry.Chain, forks: DynArray[IValidatorRegistry.Fork, MAX_FORKS], withdrawal_vault: address
):
    """
    @dev Reverts: "fork: not after the last".
    """
    DEPOSIT_CONTRACT = DepositContract(constants.deposit_contract)
    GENESIS_TIME = constants.genesis_time
    SECONDS_PER_SLOT = constants.seconds_per_slot
    SLOTS_PER_EPOCH = constants.slots_per_epoch
    SLASHINGS_VECTOR = constants.slashings_vector
    CREDENTIALS = convert((2 << 248) | convert(withdrawal_vault, uint256), bytes32)
    for fork: IValidatorRegistry.Fork in forks:
        self._add_fork(fork)


@internal
def _add_fork(fork: IValidatorRegistry.Fork):
    """
    @notice Add to the table of forks. What stands there can never be changed.
    @dev Reverts: "fork: not after the last", "fork: too many", "parameter: out of bounds".
    """
    latest: uint256 = self.forks[0]
    if latest > 0 and fork.first_slot <= latest & U64:
        reasons._refuse(reasons.FORK_ORDER)
    if self.forks[MAX_FORKS - 1] > 0:
        reasons._refuse(reasons.FORKS_FULL)
    if (
        fork.first_slot > U64
        or min(fork.validators_gindex, fork.balances_gindex) == 0
        or max(fork.validators_gindex, fork.balances_gindex) > words.U96
    ):
        reasons._refuse(reasons.PARAMETER)
    for k: uint256 in range(1, MAX_FORKS):
        self.forks[MAX_FORKS - k] = self.forks[MAX_FORKS - k - 1]
    self.forks[0] = fork.first_slot | (fork.validators_gindex << 64) | (fork.balances_gindex << 160)
    log IValidatorRegistry.ForkAdded(fork=fork)


@internal
@view
def _fork(slot: uint256) -> uint256:
    """
    @notice The row of the fork that `slot` belongs to. Reverts: "fork: none for this slot".
    """
    for row: uint256 in self.forks:
        if row == 0:
            break
        if row & U64 <= slot:
            return row
    raise reasons.NO_FORK


@internal
@view
def _forks() -> DynArray[IValidatorRegistry.Fork, MAX_FORKS]:
    table: DynArray[IValidatorRegistry.Fork, MAX_FORKS] = []
    for row: uint256 in self.forks:
        if row == 0:
            break
        table.append(
            IValidatorRegistry.Fork(
                first_slot=row & U64, validators_gindex=(row >> 64) & words.U96, balances_gindex=row >> 160
            )
        )
    return table


@external
@view
def credentials() -> bytes32:
    """
    @notice The withdrawal credentials of all our validators.
    """
    return CREDENTIALS


@external
@view
def chain_constants() -> IValidatorRegistry.Chain:
    """
    @notice The beacon chain's constants as this registry knows them.
    """
    return IValidatorRegistry.Chain(
        deposit_contract=DEPOSIT_CONTRACT.address,
        genesis_time=GENESIS_TIME,
        seconds_per_slot=SECONDS_PER_SLOT,
        slots_per_epoch=SLOTS_PER_EPOCH,
        slashings_vector=SLASHINGS_VECTOR,
    )


# ---- proofs ---------------------------------------------------------------------------------------


@internal
@pure
def _leaf(witness: IValidatorRegistry.Witness) -> bytes32:
    """
    @notice The node that a validator is in the list of them. Reverts: "proof: index too high".
    """
    if witness.index >= INDEX_LIMIT:
        reasons._refuse(reasons.PROOF_INDEX)
    return ssz._container_root(witness.chunks)


@internal
@view
def _validators_gindex(header: IValidatorRegistry.Header, low: uint256, high: uint256) -> uint256:
    """
    @notice The generalized index, in the state of the header, to which the indices `low` to `high` of validators are to
            be added. Reverts: "fork: none for this slot", "proof: not in one subtree".
    """
    return self._first((self._fork(convert(header.slot, uint256)) >> 64) & words.U96, low, high)


@internal
@view
def _balances_gindex(header: IValidatorRegistry.Header, chunk: uint256) -> uint256:
    """
    @notice ... to which the number of a chunk of balances is to be added. Reverts: "fork: none for this slot".
    """
    return self._first(self._fork(convert(header.slot, uint256)) >> 160, chunk, chunk)


@internal
@pure
def _first(gindex: uint256, low: uint256, high: uint256) -> uint256:
    """
    @notice What is to be added to the numbers `low` to `high` of elements of a list to get their generalized indices.
            A `gindex` of 2**40 or more is that of element 0 of a list with a limit. A lower one is that of a
            ProgressiveList itself (EIP-7916), whose elements lie in subtrees of 1, 4, 16, ... leaves, each one level
            further down to the right. Reverts: "proof: not in one subtree".
    """
    if gindex >= INDEX_LIMIT:
        return gindex
    node: uint256 = 2 * gindex
    start: uint256 = 0
    size: uint256 = 1
    for level: uint256 in range(MAX_SUBTREES):
        if low < start + size:
            break
        node = 2 * node + 1
        start += size
        size *= 4
    if high >= start + size:
        reasons._refuse(reasons.PROOF_SUBTREE)
    return 2 * node * size - start


@internal
@pure
def _check_state(header: IValidatorRegistry.Header, root: bytes32):
    """
    @notice Check that `root`, which a branch led to, is that of the header's state. Reverts: "proof: wrong root".
    """
    if root != header.state_root:
        reasons._refuse(reasons.PROOF_ROOT)


@internal
@view
def _check_header(timestamp: uint256, header: IValidatorRegistry.Header) -> uint256:
    """
    @notice Check the header against the root that EIP-4788 keeps, for 8,191 slots, for the parent of the execution
            block at `timestamp`. There is none when that slot was missed, and no answer where there is no such
            contract.
    @return The second at which the header's slot begins.
    @dev Reverts: "block root: not known", "proof: wrong root".
    """
    ok: bool = False
    answer: Bytes[32] = b""
    ok, answer = raw_call(
        BLOCK_ROOTS, abi_encode(timestamp), max_outsize=32, is_static_call=True, revert_on_failure=False
    )
    if not ok or len(answer) != 32:
        reasons._refuse(reasons.NO_BLOCK_ROOT)
    root: bytes32 = ssz._container_root(
        [
            ssz._to_chunk(convert(header.slot, uint256)),
            ssz._to_chunk(convert(header.proposer_index, uint256)),
            header.parent_root,
            header.state_root,
            header.body_root,
            empty(bytes32),
            empty(bytes32),
            empty(bytes32),
        ]
    )
    if root != convert(answer, bytes32):
        reasons._refuse(reasons.PROOF_ROOT)
    return self._time_of(convert(header.slot, uint256))


# ---- time -----------------------------------------------------------------------------------------


@internal
@view
def _time_of(slot: uint256) -> uint256:
    """
    @notice The second at which `slot` begins.
    """
    return GENESIS_TIME + slot * SECONDS_PER_SLOT


@internal
@view
def _epoch_at(time: uint256) -> uint256:
    """
    @notice The epoch that the slot beginning at `time` belongs to.
    """
    return (time - GENESIS_TIME) // SECONDS_PER_SLOT // SLOTS_PER_EPOCH


@internal
@view
def _slashed_at(withdrawable_epoch: uint256) -> uint256:
    """
    @notice The second at which a validator was slashed, from its withdrawable epoch (consensus-specs,
            slash_validator), or a later one when it was leaving already.
    """
    return self._time_of((withdrawable_epoch - min(SLASHINGS_VECTOR, withdrawable_epoch)) * SLOTS_PER_EPOCH)


# ---- deposits -------------------------------------------------------------------------------------


@internal
@pure
def _key(pubkey: Bytes[48]) -> bytes32:
    """
    @notice The SSZ root of a public key.
    """
    return sha256(concat(pubkey, empty(bytes16)))


@internal
@view
def _check_deposit_contract():
    """
    @notice A call to an address without code would succeed, and the ETH would be gone.
    """
    if not DEPOSIT_CONTRACT.address.is_contract:
        reasons._refuse(reasons.NO_DEPOSIT_CONTRACT)


@internal
def _deposit(pubkey: Bytes[48], key: bytes32, amount: uint256, signature: Bytes[96], signature_root: bytes32):
    """
    @notice Deposit `amount` Gwei with our credentials; the deposit contract checks the root (consensus-specs,
            DepositData).
    """
    root: bytes32 = sha256(
        abi_encode(
            sha256(abi_encode(key, CREDENTIALS)),
            sha256(abi_encode(ssz._to_chunk(amount), signature_root)),
        )
    )
    extcall DEPOSIT_CONTRACT.deposit(
        pubkey,
        concat(CREDENTIALS, b""),
        signature,
        root,
        value=amount * 10**9,
        skip_contract_check=True,
    )


@internal
@pure
def _signature_root(signature: Bytes[96]) -> bytes32:
    """
    @notice The SSZ root of a BLS signature.
    """
    return sha256(
        abi_encode(
            sha256(slice(signature, 0, 64)),
            sha256(concat(slice(signature, 64, 32), empty(bytes32))),
        )
    )
