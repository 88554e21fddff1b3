# pragma version 0.4.3
"""
@title Mock ticket art
@license GNU Affero General Public License v3.0 only
@notice The smallest use of `ticket_art.vy`: its functions, callable from outside.
"""
from contracts.lib import ticket_art


@external
@pure
def uri(ticket: uint256, shares: uint256, waiting: uint256, claimable: uint256) -> String[ticket_art.MAX_URI]:
    return ticket_art._uri(ticket, shares, waiting, claimable)
