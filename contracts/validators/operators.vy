# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Operators
@license GNU Affero General Public License v3.0 only
@notice Who runs validators: by whom an operator is managed, how much stake its weight entitles it to, and the bond that
        pays its predeposits. Two words each:

            place  manager u160 | weight u32 | limit u32 | open u32
            purse  reward address u160 | bond u48 | stake u48 (Gwei)
"""
from contracts.lib import reasons
from contracts.lib import words
from interfaces import IFloePool
from interfaces import IValidatorRegistry

U32: constant(uint256) = 2**32 - 1
U48: constant(uint256) = 2**48 - 1

WEI_IN_GWEI: constant(uint256) = 10**9
MAX_OPERATORS: constant(uint256) = 2**16 - 1

POOL: immutable(IFloePool)

places: HashMap[uint256, uint256]
purses: HashMap[uint256, uint256]
# total weight u64 | stake of all operators u64 | under way u64 (Gwei) | operators u16
totals: uint256


@deploy
def __init__(pool: IFloePool):
    POOL = pool


@external
@view
def operator(id: uint256) -> IValidatorRegistry.Operator:
    """
    @notice What the registry knows of the operator `id`; the first is 1.
    """
    place: uint256 = self.places[id]
    purse: uint256 = self.purses[id]
    return IValidatorRegistry.Operator(
        manager=convert(place & words.U160, address),
        weight=(place >> 160) & U32,
        limit=(place >> 192) & U32,
        open=place >> 224,
        reward_address=convert(purse & words.U160, address),
        bond=(purse >> 160) & U48,
        stake=purse >> 208,
    )


@external
@view
def operator_count() -> uint256:
    """
    @notice How many there are.
    """
    return self.totals >> 192


@external
@view
def total_weight() -> uint256:
    """
    @notice The sum of all weights.
    """
    return self.totals & (2**64 - 1)


@external
@view
def staked() -> uint256:
    """
    @notice Gwei with all active validators, less what is under way.
    """
    return self._staked()


@external
@view
def under_way() -> uint256:
    """
    @notice Gwei for which withdrawals are under way.
    """
    return self._under_way()


@external
@view
def quota(id: uint256) -> uint256:
    """
    @notice Gwei that the operator may have staked: its part, by weight, of the pool's assets (rounds down).
    """
    return self._part(id, staticcall POOL.totalAssets() // WEI_IN_GWEI)


@external
@payable
def add_bond(id: uint256):
    """
    @notice Add `msg.value` to the bond of an operator.
    @dev Reverts: "operator: does not exist", "bond: not whole Gwei", "operator: number too large".
    """
    if self.places[id] == 0:
        reasons._refuse(reasons.NO_OPERATOR)
    self._change_bond(id, convert(self._to_gwei(msg.value), int256))


@external
def withdraw_bond(id: uint256, amount: uint256):
    """
    @notice Send `amount` Gwei of the bond to the operator's reward address. Its manager only.
    @dev Reverts: "caller: not the manager", "bond: too low", "ether: send failed".
    """
    self._check_manager(id)
    if amount > U48:
        reasons._refuse(reasons.BOND_SHORT)
    self._change_bond(id, -convert(amount, int256))
    to: address = convert(self.purses[id] & words.U160, address)
    sent: bool = raw_call(to, b"", value=amount * WEI_IN_GWEI, max_outsize=0, revert_on_failure=False)
    if not sent:
        reasons._refuse(reasons.SEND_FAILED)


@external
def set_reward_address(id: uint256, reward_address: address):
    """
    @notice Name the address that the bond goes back to. The operator's manager only.
    @dev Reverts: "caller: not the manager", "receiver: refused".
    """
    self._check_manager(id)
    self._set_reward_address(id, reward_address)
    self._log(id)


@internal
def _add(manager: address, reward_address: address, weight: uint256, limit: uint256) -> uint256:
    """
    @return The id of the new operator.
    """
    id: uint256 = (self.totals >> 192) + 1
    if id > MAX_OPERATORS:
        reasons._refuse(reasons.OPERATOR_FULL)
    self.totals += 1 << 192
    self._set_reward_address(id, reward_address)
    self._set(id, manager, weight, limit)
    return id


@internal
def _set(id: uint256, manager: address, weight: uint256, limit: uint256):
    """
    @notice Replace manager, weight and limit.
    """
    if id == 0 or id > self.totals >> 192:
        reasons._refuse(reasons.NO_OPERATOR)
    if manager == empty(address):
        reasons._refuse(reasons.RECEIVER)
    if max(weight, limit) > U32:
        reasons._refuse(reasons.OPERATOR_NUMBER)
    place: uint256 = self.places[id]
    self.totals = self.totals + weight - ((place >> 160) & U32)
    self.places[id] = convert(manager, uint256) | (weight << 160) | (limit << 192) | ((place >> 224) << 224)
    self._log(id)


@internal
def _set_reward_address(id: uint256, reward_address: address):
    if reward_address in [empty(address), self, POOL.address]:
        reasons._refuse(reasons.RECEIVER)
    purse: uint256 = self.purses[id]
    self.purses[id] = ((purse >> 160) << 160) | convert(reward_address, uint256)


@internal
@view
def _check_manager(id: uint256):
    if msg.sender != convert(self.places[id] & words.U160, address):
        reasons._refuse(reasons.NOT_MANAGER)


@internal
@pure
def _to_gwei(amount: uint256) -> uint256:
    if amount % WEI_IN_GWEI != 0:
        reasons._refuse(reasons.BOND_GWEI)
    return amount // WEI_IN_GWEI


@internal
def _change_bond(id: uint256, change: int256):
    """
    @notice Raise or lower the bond by `change` Gwei. Reverts: "bond: too low", "operator: number too large".
    """
    purse: uint256 = self.purses[id]
    bond: int256 = convert((purse >> 160) & U48, int256) + change
    if bond < 0:
        reasons._refuse(reasons.BOND_SHORT)
    raised: uint256 = convert(bond, uint256)
    if raised > U48:
        reasons._refuse(reasons.OPERATOR_NUMBER)
    self.purses[id] = (purse & ~(U48 << 160)) | (raised << 160)
    log IValidatorRegistry.BondChanged(operator=id, change=change, bond=raised)


@internal
def _open(id: uint256, count: uint256):
    """
    @notice Book `count` new validators. Reverts: "operator: over its limit".
    """
    place: uint256 = self.places[id]
    if (place >> 224) + count > (place >> 192) & U32:
        reasons._refuse(reasons.VALIDATOR_LIMIT)
    self.places[id] = place + (count << 224)


@internal
def _close(id: uint256):
    """
    @notice One validator less is open.
    """
    self.places[id] -= 1 << 224


@internal
def _suspend(id: uint256):
    """
    @notice Set an operator's limit to 0: it gets neither validators nor stake until the council says otherwise. Its
            weight stays, because the others' parts must not grow by it.
    """
    self.places[id] &= ~(U32 << 192)
    self._log(id)


@internal
def _change_stake(id: uint256, stake: int256, under_way: int256):
    """
    @notice Book Gwei that are staked more (or less) with an operator, and that are under way more (or less).
    """
    if stake != 0:
        purse: uint256 = self.purses[id]
        total: uint256 = convert(convert(purse >> 208, int256) + stake, uint256)
        if total > U48:
            reasons._refuse(reasons.OPERATOR_NUMBER)
        self.purses[id] = (purse & (2**208 - 1)) | (total << 208)
    if stake != 0 or under_way != 0:
        # All the ETH there is has fewer Gwei than fit, and no part is below what it loses.
        self.totals = convert(convert(self.totals, int256) + (stake << 64) + (under_way << 128), uint256)


@internal
@view
def _part(id: uint256, whole: uint256) -> uint256:
    """
    @notice The operator's part, by weight, of `whole` (rounds down).
    """
    total_weight: uint256 = self.totals & (2**64 - 1)
    if total_weight == 0:
        return 0
    return ((self.places[id] >> 160) & U32) * whole // total_weight


@internal
@view
def _staked() -> uint256:
    return (self.totals >> 64) & (2**64 - 1)


@internal
@view
def _under_way() -> uint256:
    return (self.totals >> 128) & (2**64 - 1)


@internal
@view
def _stake(id: uint256) -> uint256:
    return self.purses[id] >> 208


@internal
def _log(id: uint256):
    place: uint256 = self.places[id]
    log IValidatorRegistry.OperatorSet(
        operator=id,
        manager=convert(place & words.U160, address),
        reward_address=convert(self.purses[id] & words.U160, address),
        weight=(place >> 160) & U32,
        limit=(place >> 192) & U32,
    )
