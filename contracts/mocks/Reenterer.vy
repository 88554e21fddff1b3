# pragma version 0.4.3
"""
@title Reenterer
@license GNU Affero General Public License v3.0 only
@notice An account that, when ETH or a ticket arrives, does what it was ordered to in the same transaction, and writes
        down how that ended. Without an order it takes both. A signature of its own begins with the digest.
"""
from contracts.mocks import agent

exports: agent.execute

# What it may be ordered to do.
REFUSE: constant(uint256) = 1  # revert
REACT: constant(uint256) = 2  # make the call, whatever comes of it
INSIST: constant(uint256) = 4  # make the call, and revert when it does
MISANSWER: constant(uint256) = 8  # answer a ticket wrongly

# The order, of one transaction.
conduct: transient(uint256)
target: transient(address)
payload: transient(Bytes[1024])
amount: transient(uint256)
reacting: transient(bool)

# Reactions so far, and of the last one the digest of 1 (success) or 0 and the answer.
reactions: public(uint256)
outcome: public(bytes32)


@external
@payable
def __default__():
    """
    @notice Take ETH, unless ordered otherwise.
    """
    self._behave()


@external
def onERC721Received(operator: address, owner: address, token: uint256, data: Bytes[1024]) -> bytes4:
    """
    @notice ERC-721: take a ticket, unless ordered otherwise.
    """
    self._behave()
    if self.conduct == MISANSWER:
        return 0x00000000
    return 0x150b7a02


@external
@view
def isValidSignature(digest: bytes32, signature: Bytes[65]) -> bytes4:
    """
    @notice ERC-1271.
    """
    if convert(slice(signature, 0, 32), bytes32) == digest:
        return 0x1626ba7e
    return 0xffffffff


@external
def order(conduct: uint256, target: address, payload: Bytes[1024], amount: uint256):
    """
    @notice Set the order for the rest of this transaction.
    """
    self.conduct = conduct
    self.target = target
    self.payload = payload
    self.amount = amount


@internal
def _behave():
    assert self.conduct != REFUSE, "reenterer: refused"
    if self.reacting or self.conduct & (REACT | INSIST) == 0:
        return
    self.reacting = True
    success: bool = False
    answer: Bytes[128] = b""
    success, answer = raw_call(self.target, self.payload, value=self.amount, max_outsize=128, revert_on_failure=False)
    assert success or self.conduct == REACT, "reenterer: call failed"
    self.reactions += 1
    self.outcome = keccak256(concat(convert(success, bytes1), answer))
    self.reacting = False
