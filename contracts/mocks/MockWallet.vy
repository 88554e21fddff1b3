# pragma version 0.4.3
"""
@title Mock wallet
@license GNU Affero General Public License v3.0 only
@notice A contract account: it calls what it is told to, and reacts to ETH and to tickets as it is told to.
        Without orders it takes both.
"""
MAX_BYTES: constant(uint256) = 16_384

# What ETH or a ticket made it do, and how that ended.
event Reacted:
    success: bool
    answer: Bytes[320]


# Refuse ETH.
refuses: public(bool)
# What a ticket is answered with.
answer: public(bytes4)
# The call to make when ETH or a ticket arrives.
target: public(address)
payload: public(Bytes[MAX_BYTES])
amount: public(uint256)
reacting: transient(bool)
# What a queue asks a pool for, when the wallet stands for one.
queue: public(address)


@deploy
@payable
def __init__():
    self.answer = method_id("onERC721Received(address,address,uint256,bytes)", output_type=bytes4)


@external
@payable
def __default__():
    """
    @notice Take ETH, or refuse it, and react.
    """
    assert not self.refuses, "wallet: refuses"
    self._react()


@external
def onERC721Received(operator: address, owner: address, token: uint256, data: Bytes[1024]) -> bytes4:
    """
    @notice ERC-721: answer as told, and react.
    """
    self._react()
    return self.answer


@external
@payable
def execute(target: address, payload: Bytes[MAX_BYTES], amount: uint256) -> Bytes[MAX_BYTES]:
    """
    @notice Call `target` with `amount` wei; its revert is passed on.
    """
    return raw_call(target, payload, value=amount, max_outsize=MAX_BYTES)


@external
def refuse(refuses: bool):
    """
    @notice Refuse ETH, or no longer.
    """
    self.refuses = refuses


@external
def answer_with(answer: bytes4):
    """
    @notice Answer tickets with `answer`.
    """
    self.answer = answer


@external
def stand_for_pool_of(queue: address):
    """
    @notice Be the pool that `queue` was built for; what it then calls is accepted without doing anything.
    """
    self.queue = queue


@external
def react_with(target: address, payload: Bytes[MAX_BYTES], amount: uint256 = 0):
    """
    @notice Call `target` with `amount` wei whenever ETH or a ticket arrives; the zero address stops it.
    """
    self.target = target
    self.payload = payload
    self.amount = amount


@internal
def _react():
    if self.target == empty(address) or self.reacting:
        return
    self.reacting = True
    success: bool = False
    answer: Bytes[320] = b""
    success, answer = raw_call(self.target, self.payload, value=self.amount, max_outsize=320, revert_on_failure=False)
    self.reacting = False
    log Reacted(success=success, answer=answer)
