# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Mock signer
@license GNU Affero General Public License v3.0 only
@notice A contract that signs (ERC-1271): valid is the signature that it was told, of the hash that it was told.
"""
VALID: constant(bytes4) = method_id("isValidSignature(bytes32,bytes)", output_type=bytes4)

signed: bytes32
signature: Bytes[65]


@external
def sign(hash: bytes32, signature: Bytes[65]):
    """
    @notice Take `signature` for `hash`, and no other for any other.
    """
    self.signed = hash
    self.signature = signature


@external
@view
def isValidSignature(hash: bytes32, signature: Bytes[65]) -> bytes4:
    """
    @notice ERC-1271.
    """
    if hash != self.signed or keccak256(signature) != keccak256(self.signature):
        return empty(bytes4)
    return VALID
