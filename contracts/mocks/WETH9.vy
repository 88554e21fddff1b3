# pragma version 0.4.3
"""
@title WETH9
@license GNU Affero General Public License v3.0 only
@notice Wrapped ether for chains that have none: it behaves as the one on mainnet does, which a test suite or a testnet
        may not have. ETH is paid out with the 2,300 gas of a transfer, an allowance of 2**256 - 1 is never lowered,
        and what is refused is refused without a reason.
"""
from ethereum.ercs import IERC20
from interfaces import IWeth

implements: IERC20
implements: IWeth

name: public(constant(String[13])) = "Wrapped Ether"
symbol: public(constant(String[4])) = "WETH"
decimals: public(constant(uint8)) = 18

balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@external
@payable
def __default__():
    """
    @notice Wrap plain ETH.
    """
    self._deposit()


@external
@payable
def deposit():
    """
    @notice Wrap the ETH of this call.
    """
    self._deposit()


@external
def withdraw(amount: uint256):
    """
    @notice Unwrap `amount` of the caller.
    """
    assert self.balanceOf[msg.sender] >= amount
    self.balanceOf[msg.sender] -= amount
    log IWeth.Withdrawal(src=msg.sender, wad=amount)
    # Ethereum adds the 2,300 gas to a call with value; Solidity's transfer gives them where there is none.
    send(msg.sender, amount, gas=0 if amount > 0 else 2_300)


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice ERC-20.
    """
    self.allowance[msg.sender][spender] = amount
    log IERC20.Approval(owner=msg.sender, spender=spender, value=amount)
    return True


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice ERC-20.
    """
    self._move(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice ERC-20; an owner needs no allowance for his own.
    """
    allowed: uint256 = self.allowance[owner][msg.sender]
    if owner != msg.sender and allowed != max_value(uint256):
        assert allowed >= amount
        self.allowance[owner][msg.sender] = allowed - amount
    self._move(owner, to, amount)
    return True


@external
@view
def totalSupply() -> uint256:
    """
    @notice ERC-20: all ETH that lies here.
    """
    return self.balance


@internal
@payable
def _deposit():
    self.balanceOf[msg.sender] += msg.value
    log IWeth.Deposit(dst=msg.sender, wad=msg.value)


@internal
def _move(owner: address, to: address, amount: uint256):
    assert self.balanceOf[owner] >= amount
    self.balanceOf[owner] -= amount
    self.balanceOf[to] += amount
    log IERC20.Transfer(sender=owner, receiver=to, value=amount)
