# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Allowances, by transaction and by signature
@license GNU Affero General Public License v3.0 only
@notice The allowance half of ERC-20 with EIP-2612 permits, shared by both tokens. EIP-712, EIP-5267 and
        signature recovery are snekmate's. An allowance of 2**256 - 1 is never lowered.
@dev A permit counts whoever signed it with `owner`'s key, whether or not `owner` has code (EIP-7702); contract
     wallets approve by transaction.
"""
from ethereum.ercs import IERC20
from snekmate.utils import ecdsa
from snekmate.utils import eip712_domain_separator as eip712
from contracts.lib import reasons

initializes: eip712

PERMIT_TYPE_HASH: constant(bytes32) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)

# @notice ERC-20: what `spender` may still move of `owner`'s balance.
allowance: public(HashMap[address, HashMap[address, uint256]])
# @notice EIP-2612: number of permits `owner` has used.
nonces: public(HashMap[address, uint256])


@deploy
def __init__(name: String[50]):
    eip712.__init__(name, "1")


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice ERC-20: let `spender` move up to `amount` of the caller's balance.
    """
    self._approve(msg.sender, spender, amount)
    return True


@external
def permit(owner: address, spender: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32):
    """
    @notice EIP-2612: `approve` by `owner`'s signature; anyone may bring it, once, until `deadline` (inclusive).
    @dev Reverts: "permit: expired", "permit: wrong signer", "ecdsa: invalid signature",
         "ecdsa: invalid signature `s` value".
    """
    if block.timestamp > deadline:
        reasons._refuse(reasons.PERMIT_EXPIRED)
    nonce: uint256 = self.nonces[owner]
    self.nonces[owner] = unsafe_add(nonce, 1)
    digest: bytes32 = eip712._hash_typed_data_v4(
        keccak256(abi_encode(PERMIT_TYPE_HASH, owner, spender, amount, nonce, deadline))
    )
    # Recovery never yields the zero address, so this also refuses owner == 0.
    signer: address = ecdsa._recover_vrs(digest, convert(v, uint256), convert(r, uint256), convert(s, uint256))
    if signer != owner:
        reasons._refuse(reasons.PERMIT_SIGNER)
    self._approve(owner, spender, amount)


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    """
    @notice EIP-2612: the EIP-712 domain separator for the current chain id.
    """
    return eip712._domain_separator_v4()


@internal
def _approve(owner: address, spender: address, amount: uint256):
    self.allowance[owner][spender] = amount
    log IERC20.Approval(owner=owner, spender=spender, value=amount)


@internal
def _spend(owner: address, amount: uint256):
    """
    @notice Lower the caller's allowance from `owner` by `amount`; the owner himself needs none.
    @dev Reverts: "allowance: too low".
    """
    if msg.sender == owner:
        return
    current: uint256 = self.allowance[owner][msg.sender]
    if current == max_value(uint256):
        return
    if current < amount:
        reasons._refuse(reasons.ALLOWANCE)
    self.allowance[owner][msg.sender] = unsafe_sub(current, amount)
