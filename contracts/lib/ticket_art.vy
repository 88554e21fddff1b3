# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Ticket metadata
@license GNU Affero General Public License v3.0 only
@notice Draws an exit ticket as ERC-721 metadata: JSON with an SVG picture, both inside the URI, nothing hosted
        anywhere. The water rises with the part that is paid.
"""

MAX_URI: constant(uint256) = 2560
UNIT: constant(uint256) = 10**18
MICRO: constant(uint256) = 10**12
BOX: constant(uint256) = 300  # height of the picture that the water can fill


@internal
@pure
def _uri(ticket: uint256, shares: uint256, waiting: uint256, claimable: uint256) -> String[MAX_URI]:
    """
    @notice Token URI of a ticket with `shares` unclaimed, of which `waiting` are not paid yet, and `claimable` wei.
            Amounts are shown with six decimals, rounded down.
    """
    state: String[12] = "waiting"
    if waiting == 0:
        state = "ready"
    elif waiting < shares:
        state = "partly ready"
    number: String[78] = uint2str(ticket)
    shares_text: String[100] = self._decimal(shares)
    ether_text: String[100] = self._decimal(claimable)
    water: uint256 = BOX * (shares - waiting) // shares
    return concat(
        'data:application/json;utf8,{"name":"Floe exit ',
        number,
        '","description":"A place in the withdrawal queue of Floe. Anyone may claim it for its owner.",',
        '"attributes":[{"trait_type":"state","value":"',
        state,
        '"},{"trait_type":"shares","value":"',
        shares_text,
        '"},{"trait_type":"claimable ETH","value":"',
        ether_text,
        '"}],"image":"data:image/svg+xml;utf8,',
        self._picture(number, state, shares_text, ether_text, water),
        '"}',
    )


@internal
@pure
def _picture(
    number: String[78], state: String[12], shares: String[100], ether_: String[100], water: uint256
) -> String[1600]:
    """
    @notice The picture. No double quotes, '#' or '%', so that it survives inside a data URI inside JSON inside another.
    """
    height: String[78] = uint2str(water)
    top: String[78] = uint2str(BOX - water)
    return concat(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 300 300' font-family='sans-serif' fill='midnightblue'>",
        "<rect width='300' height='300' rx='16' fill='aliceblue'/>",
        "<rect y='",
        top,
        "' width='300' height='",
        height,
        "' rx='16' fill='lightblue'/><path d='M60 150l50-34 72 8 58 26-40 30-96 6z' fill='white' stroke='black'/>",
        "<text x='24' y='44' font-size='22'>Floe exit ",
        number,
        "</text><text x='24' y='70' font-size='14'>",
        state,
        "</text><text x='24' y='240' font-size='14'>",
        shares,
        " floETH</text><text x='24' y='264' font-size='14'>",
        ether_,
        " ETH to claim</text></svg>",
    )


@internal
@pure
def _decimal(amount: uint256) -> String[100]:
    """
    @notice `amount` / 1e18 with six decimals (rounds down).
    """
    # A leading 1 keeps the zeros of the fraction.
    fraction: String[78] = uint2str(10**6 + amount % UNIT // MICRO)
    return concat(uint2str(amount // UNIT), ".", slice(fraction, 1, 6))
