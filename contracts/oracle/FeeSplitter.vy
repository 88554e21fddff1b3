# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Fee splitter
@license GNU Affero General Public License v3.0 only
@notice The pool's fee recipient. Fees arrive as new floETH, without a call; whatever floETH lies here beyond what is
        accounted for counts as fees, gifts too. `distribute` splits it:

            treasury   fees * treasury_bps // 10,000, sent at once
            operators  fees * (10,000 - treasury_bps - cover_bps) // 10,000
            cover      what is left, a wei of rounding included: kept to repay losses

        Operators earn by their weight in the validator registry, of all weights there. An accumulator keeps what one
        unit of weight has earned, so a distribution costs the same however many operators there are; what does not
        divide evenly is carried to the next one. Weights are taken over by `sync`, which anyone may call and which
        splits all fees that have come by the old weights first: no change of a weight reaches back, and a new operator
        starts at zero. A suspended operator (limit 0) is synced to weight 0. The parts of weights that are not synced,
        or suspended, go to the treasury, so that no operator gains by another one's absence.

        Another registry is another set of books: its operators start at zero and have to be synced. What operators of
        the old one have earned by then they claim as before, to the reward addresses that the old one names.

        After a loss the council may give up shares of the cover fund. They leave through the queue like everybody's,
        but their ETH goes to the execution vault, so that reports take it in as they take tips: metered, and without a
        fee as long as there is a deficit. Burning the shares instead would let the rate jump.
@dev What stops it, who can, and what still works then: nothing stops distributions, syncs and claims; a broken registry
     could stop syncs and claims until the admin names another, but no distribution. The admin (a timelock) sets the
     parts inside fixed bounds, the treasury and the registry; the council can only spend the cover fund on losses.
"""
from ethereum.ercs import IERC20
from snekmate.auth import access_control
from contracts.lib import reasons
from interfaces import IFeeSplitter
from interfaces import IFloePool
from interfaces import IValidatorRegistry
from interfaces import IWithdrawalQueue

implements: IFeeSplitter

initializes: access_control

exports: (
    access_control.DEFAULT_ADMIN_ROLE,
    access_control.grantRole,
    access_control.hasRole,
    access_control.revokeRole,
)

# @notice May call `cover_loss`.
COUNCIL_ROLE: public(constant(bytes32)) = keccak256("COUNCIL_ROLE")

BPS: constant(uint256) = 10_000
RATE_UNIT: constant(uint256) = 10**18
# Whatever the admin sets, a fifth of all fees is the operators'.
MAX_TREASURY_BPS: public(constant(uint256)) = 5_000
MAX_COVER_BPS: public(constant(uint256)) = 3_000

POOL: immutable(IFloePool)
QUEUE: immutable(IWithdrawalQueue)
EXECUTION_VAULT: immutable(address)

# @notice The parts of treasury and cover fund.
parts: public(IFeeSplitter.Parts)
# @notice Receives the treasury's part.
treasury: public(address)
# @notice The registry whose operators earn.
registry: public(address)

# @notice Shares of the cover fund and of operators, and the rest: what is here beyond it are fees.
held: public(uint256)
# @notice Shares set aside for losses.
cover_fund: public(uint256)
# @notice Shares that could not be divided by the weights; the next division takes them in.
rest: public(uint256)
# @notice The last ticket that the cover fund bought.
cover_ticket: public(uint256)

# @notice Registry -> what its operators earn by together.
weights: public(HashMap[address, IFeeSplitter.Weights])
# @notice Registry -> operator -> what it earns by.
accounts: public(HashMap[address, HashMap[uint256, IFeeSplitter.Account]])


@deploy
def __init__(
    pool: IFloePool, registry: address, admin: address, council: address, treasury: address, parts: IFeeSplitter.Parts
):
    """
    @notice The pool, its queue and the registry must be there already.
    @dev Reverts: "admin: not a contract", "peer: not wired to this contract", "receiver: refused",
         "parameter: out of bounds".
    """
    assert admin.is_contract, reasons.NOT_ADMIN_CONTRACT
    POOL = pool
    QUEUE = IWithdrawalQueue(staticcall pool.queue())
    EXECUTION_VAULT = staticcall pool.execution_vault()
    access_control.__init__()
    access_control._revoke_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    access_control._grant_role(access_control.DEFAULT_ADMIN_ROLE, admin)
    access_control._grant_role(COUNCIL_ROLE, council)
    self._set_parts(parts)
    self._set_treasury(treasury)
    self._set_registry(registry)


# ---- fees -----------------------------------------------------------------------------------------


@external
def distribute() -> uint256:
    """
    @notice Split the fees that have come since the last time. Anyone may call.
    @return Shares that were split.
    """
    return self._distribute()


@external
def sync(operator: uint256):
    """
    @notice Take over the weight that an operator of the registry has there, 0 when it is suspended (its limit is 0),
            and the sum of all weights. What has come before is split, and earned, by the old ones. Anyone may call.
    """
    self._distribute()
    registry: address = self.registry
    account: IFeeSplitter.Account = self._settled(registry, operator)
    known: IValidatorRegistry.Operator = staticcall IValidatorRegistry(registry).operator(operator)
    weight: uint256 = known.weight
    if known.limit == 0:
        weight = 0
    total: uint256 = staticcall IValidatorRegistry(registry).total_weight()
    self.weights[registry].synced = self.weights[registry].synced - account.weight + weight
    self.weights[registry].total = total
    account.weight = weight
    self.accounts[registry][operator] = account
    log IFeeSplitter.Synced(registry=registry, operator=operator, weight=weight, total=total)


@external
def claim(operator: uint256, registry: address = empty(address)) -> uint256:
    """
    @notice Split what has come, and pay all that an operator has earned to its reward address. Anyone may call.
    @param registry The one that knows the operator; by default the one whose operators earn now.
    @return Shares paid.
    @dev Reverts: "receiver: refused" when the pool refuses the reward address.
    """
    self._distribute()
    book: address = self._book(registry)
    account: IFeeSplitter.Account = self._settled(book, operator)
    shares: uint256 = account.earned
    if shares == 0:
        return 0
    account.earned = 0
    self.accounts[book][operator] = account
    self.held -= shares
    known: IValidatorRegistry.Operator = staticcall IValidatorRegistry(book).operator(operator)
    receiver: address = known.reward_address
    log IFeeSplitter.Claimed(registry=book, operator=operator, receiver=receiver, shares=shares)
    self._pay(receiver, shares)
    return shares


# ---- cover ----------------------------------------------------------------------------------------


@external
def cover_loss(shares: uint256) -> uint256:
    """
    @notice Queue `shares` of the cover fund for the execution vault. Anyone claims the ticket once it is paid, and
            reports take the ETH in. At most `coverable()`; one ticket at a time. Council only.
    @return The ticket.
    @dev Reverts: "access_control: account is missing role", "cover: over the limit", "request: zero shares".
    """
    access_control._check_role(COUNCIL_ROLE, msg.sender)
    assert shares <= self._coverable(), reasons.COVER_LIMIT
    self.cover_fund -= shares
    self.held -= shares
    ticket: uint256 = extcall QUEUE.request(shares, EXECUTION_VAULT)
    self.cover_ticket = ticket
    log IFeeSplitter.LossCovered(ticket=ticket, shares=shares)
    return ticket


# ---- admin ----------------------------------------------------------------------------------------


@external
def set_parts(parts: IFeeSplitter.Parts):
    """
    @notice Replace the parts of treasury and cover fund; what has come is split by the old ones. Admin only.
    @dev Reverts: "access_control: account is missing role", "parameter: out of bounds".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    self._distribute()
    self._set_parts(parts)


@external
def set_treasury(treasury: address):
    """
    @notice Send the treasury's part to `treasury`; the part of what has come goes to the old one. Admin only.
    @dev Reverts: "access_control: account is missing role", "receiver: refused".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    self._distribute()
    self._set_treasury(treasury)


@external
def set_registry(registry: address):
    """
    @notice Let the operators of another registry earn, which must hold the pool's registry role; what has come is split
            among those of the old one. They start at zero and have to be synced; one that has been here before goes on
            as it was. Admin only.
    @dev Reverts: "access_control: account is missing role", "peer: not wired to this contract".
    """
    access_control._check_role(access_control.DEFAULT_ADMIN_ROLE, msg.sender)
    self._distribute()
    self._set_registry(registry)


# ---- views ----------------------------------------------------------------------------------------


@external
@view
def undistributed() -> uint256:
    """
    @notice Fees that `distribute` would split now.
    """
    return self._fees()


@external
@view
def claimable(operator: uint256, registry: address = empty(address)) -> uint256:
    """
    @notice What an operator has earned of the fees that were split, and not claimed.
    """
    return self._settled(self._book(registry), operator).earned


@external
@view
def coverable() -> uint256:
    """
    @notice Most shares that `cover_loss` takes now: the cover fund, but no more than the pool's deficit is worth at the
            exit rate (rounded down), less the ETH that is in the execution vault and will repay it anyway; 0 while the
            last ticket is not paid and claimed.
    """
    return self._coverable()


@external
@view
def pool() -> address:
    """
    @notice The pool whose fees these are.
    """
    return POOL.address


# ---- inside ---------------------------------------------------------------------------------------


@internal
@view
def _book(registry: address) -> address:
    if registry == empty(address):
        return self.registry
    return registry


@internal
@view
def _fees() -> uint256:
    return staticcall POOL.balanceOf(self) - self.held


@internal
def _distribute() -> uint256:
    fees: uint256 = self._fees()
    if fees == 0:
        return 0
    parts: IFeeSplitter.Parts = self.parts
    to_treasury: uint256 = fees * parts.treasury_bps // BPS
    to_operators: uint256 = fees * (BPS - parts.treasury_bps - parts.cover_bps) // BPS
    to_cover: uint256 = fees - to_treasury - to_operators

    # What weights that are not synced would earn goes to the treasury. The registry's sum may have fallen since some
    # weights were synced: those that count here never get more than there is.
    divided: uint256 = self.rest + to_operators
    weights: IFeeSplitter.Weights = self.weights[self.registry]
    whole: uint256 = max(weights.total, weights.synced)
    rest: uint256 = 0
    to_operators = 0
    if weights.synced > 0:
        each: uint256 = divided // whole
        rest = divided - each * whole
        to_operators = each * weights.synced
        self.weights[self.registry].per_weight = weights.per_weight + each
    to_treasury += divided - rest - to_operators

    self.rest = rest
    self.cover_fund += to_cover
    self.held = self.held + fees - to_treasury
    log IFeeSplitter.Distributed(fees=fees, treasury=to_treasury, operators=to_operators, cover=to_cover, rest=rest)
    if to_treasury > 0:
        self._pay(self.treasury, to_treasury)
    return fees


@internal
@view
def _settled(registry: address, operator: uint256) -> IFeeSplitter.Account:
    """
    @notice An operator's account with all that its weight has earned.
    """
    account: IFeeSplitter.Account = self.accounts[registry][operator]
    per_weight: uint256 = self.weights[registry].per_weight
    account.earned += account.weight * (per_weight - account.per_weight)
    account.per_weight = per_weight
    return account


@internal
@view
def _coverable() -> uint256:
    ticket: uint256 = self.cover_ticket
    if staticcall QUEUE.pending(ticket) + staticcall QUEUE.claimable(ticket) > 0:
        return 0
    deficit: uint256 = staticcall POOL.deficit()
    open_: uint256 = deficit - min(EXECUTION_VAULT.balance, deficit)
    # The rate is rounded down; shares are worth less than at the next higher one.
    return min(self.cover_fund, open_ * RATE_UNIT // (staticcall POOL.exit_rate() + 1))


@internal
def _pay(receiver: address, shares: uint256):
    extcall IERC20(POOL.address).transfer(receiver, shares)


@internal
def _set_parts(parts: IFeeSplitter.Parts):
    assert parts.treasury_bps <= MAX_TREASURY_BPS and parts.cover_bps <= MAX_COVER_BPS, reasons.PARAMETER
    self.parts = parts
    log IFeeSplitter.PartsSet(parts=parts)


@internal
def _set_treasury(treasury: address):
    # What the pool would refuse would stop every distribution; here it would be split again.
    assert treasury not in [empty(address), self, POOL.address, QUEUE.address], reasons.RECEIVER
    self.treasury = treasury
    log IFeeSplitter.TreasurySet(treasury=treasury)


@internal
def _set_registry(registry: address):
    assert staticcall POOL.hasRole(staticcall POOL.REGISTRY_ROLE(), registry), reasons.PEER
    self.registry = registry
    log IFeeSplitter.RegistrySet(registry=registry)
