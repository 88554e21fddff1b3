"""The reference model: what the pool, the queue, the rebasing token, the registry and the oracle do, in plain integers.

Nothing here reads, writes or signs anything. Every function is one rule; what it raises is the contract's reason. The
fuzz campaign drives the contracts and this model side by side and demands equality to the wei after every transaction.

    basics            integers, reverts, time and ETH
    parameters        the pool's parameters and their bounds
    tokens            allowances, permits, roles
    pool              prices, deposits, the instant exit, reports
    queue             tickets and the curve
    vault             what holds ETH for the pool to sweep, and makes requests
    system_contracts  block roots, deposits and requests, as Ethereum keeps them
    registry          operators, proofs, top-ups, pulling back
    fee_splitter      fees to treasury, operators and the cover fund
    oracle            the committee, the limits of its reports, those that are held
    beacon            states of a small beacon chain, and the proofs of them
    beacon_chain      how it goes on: deposits, exits, sweeps, slashings
    rebasing_token    the rebasing view
    erc20             plain tokens: LP tokens, reserve shares, WETH
    stable_pair       ETH and floETH on a curve
    exit_reserve      people's ETH buys exits
    gauge             rewards for what is staked
    weth_vault        WETH, and the pool as a vault over it
    zap               ETH into any of these
    protocol          all of it, wired, and how to undo a call

The caller is always the argument `sender`, the ETH sent with the call `value`. A caller has the ETH he sends.
"""

from floe.model.basics import ZERO, Chain, Revert, ceil_div
from floe.model.parameters import Parameters
from floe.model.pool import Pool, Report
from floe.model.protocol import Accounts, Protocol
from floe.model.queue import Queue
from floe.model.rebasing_token import RebasingToken
from floe.model.tokens import Permit, Signature

__all__ = [
    "ZERO",
    "Accounts",
    "Chain",
    "Parameters",
    "Permit",
    "Pool",
    "Protocol",
    "Queue",
    "RebasingToken",
    "Report",
    "Revert",
    "Signature",
    "ceil_div",
]
