# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Withdrawal vault
@license GNU Affero General Public License v3.0 only
@notice The withdrawal credentials (0x02) of every validator: principal and consensus rewards arrive here, and the
        requests that only their owner can make leave from here: withdrawals (EIP-7002) and consolidations (EIP-7251).
        Nothing stops it: ETH can always arrive, and only the pool can move it, into itself.
@dev The code is immutable. Who may make requests follows from the pool's roles, which the admin (a timelock) gives.
     A request type of EIP-7685 is only a number and its contract only an address, so a later fork's needs no new vault.
"""
from snekmate.auth import access_control
from contracts.lib import ether_vault
from contracts.lib import reasons
from interfaces import IEtherVault
from interfaces import IFloePool
from interfaces import IWithdrawalVault

implements: IEtherVault
implements: IWithdrawalVault

initializes: ether_vault

exports: (ether_vault.pool, ether_vault.sweep)

MAX_REQUESTS: constant(uint256) = 64
MAX_PAYLOAD: constant(uint256) = 256  # bytes; the known types have 56 and 96

# EIP-7685 types and their contracts.
WITHDRAWAL: constant(uint256) = 1
WITHDRAWAL_REQUESTS: constant(address) = 0x00000961Ef480Eb55e80D19ad83579A64c007002
CONSOLIDATION: constant(uint256) = 2
CONSOLIDATION_REQUESTS: constant(address) = 0x0000BBdDc7CE488642fb579F8B00f3a590007251

# @notice EIP-7685 type -> the contract that takes its requests.
system_contract: public(HashMap[uint256, address])


@deploy
def __init__(pool: address):
    ether_vault.__init__(pool)
    self._set_system_contract(WITHDRAWAL, WITHDRAWAL_REQUESTS)
    self._set_system_contract(CONSOLIDATION, CONSOLIDATION_REQUESTS)


@external
@payable
@reentrant
def __default__():
    """
    @notice Take ETH from anyone at any time.
    """
    pass


@external
@payable
def request(kind: uint256, payloads: DynArray[Bytes[MAX_PAYLOAD], MAX_REQUESTS], refund_to: address) -> uint256:
    """
    @notice Hand `payloads` to the system contract of the request type `kind`. `msg.value` is the most that may be
            spent on fees; what is left goes to `refund_to`. Holders of the pool's registry role only.
    @return The wei spent.
    @dev Reverts: "caller: not the registry", "request: no system contract", "request: fee not readable",
         "request: fee over the limit", "request: refused", "receiver: refused", "ether: send failed".
    """
    pool: IFloePool = IFloePool(ether_vault.POOL)
    assert staticcall pool.hasRole(staticcall pool.REGISTRY_ROLE(), msg.sender), reasons.NOT_REGISTRY
    assert refund_to not in [empty(address), self, ether_vault.POOL], reasons.RECEIVER
    target: address = self.system_contract[kind]
    fee: uint256 = self._fee(target)
    spent: uint256 = fee * len(payloads)
    assert spent <= msg.value, reasons.FEE_LIMIT
    log IWithdrawalVault.Requested(kind=kind, count=len(payloads), fee=fee)
    for payload: Bytes[MAX_PAYLOAD] in payloads:
        assert raw_call(target, payload, value=fee, max_outsize=0, revert_on_failure=False), reasons.REQUEST_REFUSED
    if msg.value > spent:
        assert raw_call(
            refund_to, b"", value=msg.value - spent, max_outsize=0, revert_on_failure=False
        ), reasons.SEND_FAILED
    return spent


@external
def set_system_contract(kind: uint256, system_contract: address):
    """
    @notice Name the contract that takes requests of the EIP-7685 type `kind`; the zero address stops them. Holders of
            the pool's admin role only.
    @dev Reverts: "caller: not the admin".
    """
    pool: IFloePool = IFloePool(ether_vault.POOL)
    assert staticcall pool.hasRole(access_control.DEFAULT_ADMIN_ROLE, msg.sender), reasons.NOT_ADMIN
    self._set_system_contract(kind, system_contract)


@external
@view
def fee(kind: uint256) -> uint256:
    """
    @notice Wei that one request of the type `kind` costs in this block. It rises with the requests before it.
    @dev Reverts: "request: no system contract", "request: fee not readable".
    """
    return self._fee(self.system_contract[kind])


@internal
@view
def _fee(target: address) -> uint256:
    # A call to an address without code would succeed and do nothing.
    assert target.is_contract, reasons.NO_SYSTEM_CONTRACT
    ok: bool = False
    answer: Bytes[32] = b""
    ok, answer = raw_call(target, b"", max_outsize=32, is_static_call=True, revert_on_failure=False)
    assert ok and len(answer) == 32, reasons.FEE_UNREADABLE
    return convert(answer, uint256)


@internal
def _set_system_contract(kind: uint256, system_contract: address):
    self.system_contract[kind] = system_contract
    log IWithdrawalVault.SystemContractSet(kind=kind, system_contract=system_contract)
