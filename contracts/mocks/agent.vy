# pragma version 0.4.3
"""
@title Agent
@license GNU Affero General Public License v3.0 only
@notice Makes a contract a caller: it does what it is told, with its own ETH, and passes on what comes back.
"""
MAX_PAYLOAD: constant(uint256) = 8_192
MAX_ANSWER: constant(uint256) = 128


@external
@raw_return
def execute(target: address, payload: Bytes[MAX_PAYLOAD], amount: uint256) -> Bytes[MAX_ANSWER]:
    """
    @notice Call `target` with `amount` wei; answer and revert are passed on as they are.
    """
    return raw_call(target, payload, value=amount, max_outsize=MAX_ANSWER)
