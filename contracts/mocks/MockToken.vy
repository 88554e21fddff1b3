# pragma version 0.4.3
"""
@title Mock token
@license GNU Affero General Public License v3.0 only
@notice An ERC-20 that anybody mints, and that can be told to keep less than the standard asks for.
"""
from ethereum.ercs import IERC20

# What it does at a transfer instead of the standard.
SILENT: constant(uint256) = 1  # answer nothing
DENY: constant(uint256) = 2  # answer False and move nothing
FEE: constant(uint256) = 3  # keep a hundredth of it, rounded up
BURN: constant(uint256) = 4  # burn all the gas
REVERT: constant(uint256) = 5
CALL: constant(uint256) = 6  # call owner and receiver without data before it moves anything, as tokens with hooks do
ORDER: constant(uint256) = 7  # make the call that it was ordered to make, whatever comes of it
TWO: constant(uint256) = 8  # answer 2
LOSE: constant(uint256) = 9  # take the amount from the receiver as well
REFUSE: constant(uint256) = 10  # move nothing and answer True

conduct: public(uint256)
target: public(address)
payload: Bytes[1024]
# Of the last call.
success: public(bool)

decimals: public(constant(uint8)) = 18
totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@external
def behave(conduct: uint256):
    """
    @notice From now on do this at a transfer; 0: the standard.
    """
    self.conduct = conduct


@external
def order(target: address, payload: Bytes[1024]):
    """
    @notice The call to make at a transfer.
    """
    self.conduct = ORDER
    self.target = target
    self.payload = payload


@external
def mint(receiver: address, amount: uint256):
    """
    @notice Make `amount` for `receiver`.
    """
    self.totalSupply += amount
    self.balanceOf[receiver] += amount
    log IERC20.Transfer(sender=empty(address), receiver=receiver, value=amount)


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice ERC-20.
    """
    self.allowance[msg.sender][spender] = amount
    log IERC20.Approval(owner=msg.sender, spender=spender, value=amount)
    return True


@external
@raw_return
def transfer(receiver: address, amount: uint256) -> Bytes[32]:
    """
    @notice ERC-20, or as ordered.
    """
    return self._transfer(msg.sender, receiver, amount)


@external
@raw_return
def transferFrom(owner: address, receiver: address, amount: uint256) -> Bytes[32]:
    """
    @notice ERC-20, or as ordered.
    """
    if self.allowance[owner][msg.sender] != max_value(uint256):
        self.allowance[owner][msg.sender] -= amount
    return self._transfer(owner, receiver, amount)


@internal
def _transfer(owner: address, receiver: address, amount: uint256) -> Bytes[32]:
    conduct: uint256 = self.conduct
    assert conduct != REVERT, "token: reverts"
    if conduct == BURN:
        raise UNREACHABLE
    if conduct == DENY:
        return abi_encode(False)
    if conduct == REFUSE:
        return abi_encode(True)
    if conduct == CALL:
        self.success = raw_call(owner, b"", revert_on_failure=False)
        self.success = raw_call(receiver, b"", revert_on_failure=False)
    if conduct == ORDER:
        self.success = raw_call(self.target, self.payload, revert_on_failure=False)
    fee: uint256 = 0
    if conduct == FEE:
        fee = (amount + 99) // 100
    self.balanceOf[owner] -= amount
    self.balanceOf[receiver] += amount - fee
    if conduct == LOSE:
        self.balanceOf[receiver] -= 2 * amount
    log IERC20.Transfer(sender=owner, receiver=receiver, value=amount - fee)
    if conduct == SILENT:
        return b""
    if conduct == TWO:
        return abi_encode(convert(2, uint256))
    return abi_encode(True)
