# pragma version 0.4.3
"""
@title Mock instant fee
@license GNU Affero General Public License v3.0 only
@notice The smallest use of `instant_fee.vy`: its functions, callable from outside.
"""
from contracts.lib import instant_fee


@external
@pure
def price_ppm(line: instant_fee.Line, liquidity: uint256) -> uint256:
    return instant_fee._price_ppm(line, liquidity)


@external
@pure
def fee_ppm(line: instant_fee.Line, gross: uint256) -> uint256:
    return instant_fee._fee_ppm(line, gross)


@external
@pure
def fee(line: instant_fee.Line, gross: uint256) -> uint256:
    return instant_fee._fee(line, gross)


@external
@pure
def gross_for(line: instant_fee.Line, net: uint256) -> uint256:
    return instant_fee._gross_for(line, net)
