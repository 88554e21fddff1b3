"""Every transaction that the campaign sends: how it is put together for both sides.

An action is a name and plain arguments (accounts, integers, lists of them), so a sequence of actions is JSON and can
be replayed, with some left out, whatever state it meets. `call` turns an action of one transaction into a `Call`;
`perform` also knows time, forced ETH and orders to a Reenterer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from eth_utils.crypto import keccak

from floe.model import Parameters, Permit, Report, Revert, Signature
from floe.model.basics import ZERO, Address
from tests.stateful.world import (
    ADDRESS_WORD,
    CHAIN_ID,
    DOMAIN_TYPE,
    POOL,
    QUEUE,
    ROLE_IDS,
    STAKER_KEYS,
    STAKERS,
    TOKEN,
    WITHDRAWAL_VAULT,
    Call,
    World,
)

Action = list[Any]
"""[name, argument, ...]."""

_A = ADDRESS_WORD


def _u(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _list(numbers: Sequence[int]) -> bytes:
    return b"".join([_u(len(numbers)), *[_u(number) for number in numbers]])


# --- pool: in and out ---


def deposit(w: World, sender: Address, value: int, assets: int, receiver: Address, *more: Any) -> Call:
    """`more` is nothing, the least shares, or the least shares and the referral."""
    if not more:
        data = w.pool_selectors["deposit(uint256,address)"] + _u(assets) + _A[receiver]
    elif len(more) == 1:
        data = w.pool_selectors["deposit(uint256,address,uint256)"] + _u(assets) + _A[receiver] + _u(more[0])
    else:
        data = w.pool_selectors["deposit(uint256,address,uint256,address)"]
        data += _u(assets) + _A[receiver] + _u(more[0]) + _A[more[1]]
    return sender, POOL, data, value, w.pool.deposit, (sender, value, assets, receiver, *more[:1]), (receiver,), (), ()


def send_ether(w: World, sender: Address, value: int, target: Address) -> Call:
    """Plain ETH: stakes in the pool, is a gift to a vault, is refused by queue and token."""
    if target == POOL:
        return sender, POOL, b"", value, w.pool.receive, (sender, value), (sender,), (), ()
    return sender, target, b"", value, _give, (w, sender, target, value), (), (), ()


def _give(w: World, sender: Address, target: Address, value: int) -> None:
    """Only the vaults take ETH as a gift."""
    if target in (QUEUE, TOKEN):
        raise Revert("")
    w.chain.move(sender, target, value)


def mint(w: World, sender: Address, value: int, shares: int, receiver: Address) -> Call:
    data = w.pool_selectors["mint(uint256,address)"] + _u(shares) + _A[receiver]
    return sender, POOL, data, value, w.pool.mint, (sender, value, shares, receiver), (sender, receiver), (), (sender,)


def withdraw(w: World, sender: Address, assets: int, receiver: Address, owner: Address, *most: int) -> Call:
    data = _u(assets) + _A[receiver] + _A[owner]
    if most:
        data = w.pool_selectors["withdraw(uint256,address,address,uint256)"] + data + _u(most[0])
    else:
        data = w.pool_selectors["withdraw(uint256,address,address)"] + data
    return (
        sender,
        POOL,
        data,
        0,
        w.pool.withdraw,
        (sender, assets, receiver, owner, *most),
        (owner, receiver),
        (),
        (receiver,),
    )


def redeem(w: World, sender: Address, shares: int, receiver: Address, owner: Address, *least: int) -> Call:
    data = _u(shares) + _A[receiver] + _A[owner]
    if least:
        data = w.pool_selectors["redeem(uint256,address,address,uint256)"] + data + _u(least[0])
    else:
        data = w.pool_selectors["redeem(uint256,address,address)"] + data
    return (
        sender,
        POOL,
        data,
        0,
        w.pool.redeem,
        (sender, shares, receiver, owner, *least),
        (owner, receiver),
        (),
        (receiver,),
    )


# --- pool: share token ---


def transfer(w: World, sender: Address, receiver: Address, shares: int) -> Call:
    data = w.pool_selectors["transfer(address,uint256)"] + _A[receiver] + _u(shares)
    return sender, POOL, data, 0, w.pool.transfer, (sender, receiver, shares), (sender, receiver), (), ()


def transfer_from(w: World, sender: Address, owner: Address, receiver: Address, shares: int) -> Call:
    data = w.pool_selectors["transferFrom(address,address,uint256)"] + _A[owner] + _A[receiver] + _u(shares)
    return sender, POOL, data, 0, w.pool.transfer_from, (sender, owner, receiver, shares), (owner, receiver), (), ()


def approve(w: World, sender: Address, token: Address, spender: Address, amount: int) -> Call:
    data = w.pool_selectors["approve(address,uint256)"] + _A[spender] + _u(amount)
    method = w.pool.approve if token == POOL else w.token.allowances.approve
    return sender, token, data, 0, method, (sender, spender, amount), (), (), ()


# --- permits ---

_PERMIT_TYPE = keccak(text="Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
ORDER_OF_CURVE = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
TOKEN_NAMES = {POOL: "Floe ETH", TOKEN: "Floe ETH rebasing"}
"""What permits call a token."""


@cache
def _domain(token: Address) -> bytes:
    parts = [DOMAIN_TYPE, keccak(text=TOKEN_NAMES[token]), keccak(text="1"), _u(CHAIN_ID), _A[token]]
    return keccak(b"".join(parts))


@cache
def sign_permit(signer: Address, signed: Permit, form: str) -> bytes:
    """v, r, s as calldata. `form` is "good", "high s" (the same signature mirrored) or "invalid" (no such v)."""
    _, owner, spender, amount, nonce, deadline = signed
    struct = keccak(b"".join([_PERMIT_TYPE, _A[owner], _A[spender], _u(amount), _u(nonce), _u(deadline)]))
    digest = keccak(b"\x19\x01" + _domain(signed.token) + struct)
    signature = STAKER_KEYS[STAKERS.index(signer)].sign_recoverable(digest, hasher=None)
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), 27 + signature[64]
    if form == "high s":
        s, v = ORDER_OF_CURVE - s, 55 - v
    return _u(29 if form == "invalid" else v) + r + _u(s)


def permit(
    w: World,
    sender: Address,
    token: Address,
    owner: Address,
    spender: Address,
    amount: int,
    deadline: int,
    signer: Address,
    nonce: int,
    form: str,
) -> Call:
    """`signer` signed what is sent, with `nonce`."""
    signed = Permit(token, owner, spender, amount, nonce, deadline)
    signature = Signature(signer, signed, high_s=form == "high s", valid=form != "invalid")
    data = w.pool_selectors["permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"]
    data += _A[owner] + _A[spender] + _u(amount) + _u(deadline) + sign_permit(signer, signed, form)
    method = w.pool.permit if token == POOL else w.token.allowances.permit
    return sender, token, data, 0, method, (owner, spender, amount, deadline, signature), (), (), ()


# --- pool: exits, validators, report ---


def lock_for_exit(w: World, sender: Address, owner: Address, shares: int) -> Call:
    data = w.pool_selectors["lock_for_exit(address,uint256)"] + _A[owner] + _u(shares)
    return sender, POOL, data, 0, w.pool.lock_for_exit, (sender, owner, shares), (owner,), (), ()


def fulfil(w: World, sender: Address, *most: int) -> Call:
    data = w.pool_selectors["fulfil(uint256)"] + _u(most[0]) if most else w.pool_selectors["fulfil()"]
    return sender, POOL, data, 0, w.pool.fulfil, most, (), (), ()


def declare_stale(w: World, sender: Address) -> Call:
    return sender, POOL, w.pool_selectors["declare_stale()"], 0, w.pool.declare_stale, (), (), (), ()


def send_to_validators(w: World, sender: Address, amount: int) -> Call:
    data = w.pool_selectors["send_to_validators(uint256)"] + _u(amount)
    return sender, POOL, data, 0, w.pool.send_to_validators, (sender, amount), (sender,), (), (sender,)


def raise_pending_loss(w: World, sender: Address, gwei: int) -> Call:
    data = w.pool_selectors["raise_pending_loss(uint256)"] + _u(gwei)
    return sender, POOL, data, 0, w.pool.raise_pending_loss, (sender, gwei), (), (), ()


def receive_from_vault(w: World, sender: Address, value: int) -> Call:
    data = w.pool_selectors["receive_from_vault()"]
    return sender, POOL, data, value, w.pool.receive_from_vault, (sender,), (), (), ()


_REPORT = "report((uint256,uint256,uint256,uint256,uint256,uint256,uint256))"


def report(w: World, sender: Address, *numbers: int) -> Call:
    """`numbers` are the fields of `Report`."""
    data = w.pool_selectors[_REPORT] + b"".join([_u(number) for number in numbers])
    return sender, POOL, data, 0, w.pool.report, (sender, Report(*numbers)), (w.pool.fee_recipient,), (), ()


# --- pool: administration ---

_SET_PARAMETERS = "set_parameters((uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256))"


def set_parameters(w: World, sender: Address, *numbers: int) -> Call:
    """`numbers` are the fields of `Parameters`."""
    data = w.pool_selectors[_SET_PARAMETERS] + b"".join([_u(number) for number in numbers])
    return sender, POOL, data, 0, w.pool.set_parameters, (sender, Parameters(*numbers)), (), (), ()


def set_deposit_ceiling(w: World, sender: Address, gwei: int) -> Call:
    data = w.pool_selectors["set_deposit_ceiling(uint256)"] + _u(gwei)
    return sender, POOL, data, 0, w.pool.set_deposit_ceiling, (sender, gwei), (), (), ()


def set_fee_recipient(w: World, sender: Address, recipient: Address) -> Call:
    data = w.pool_selectors["set_fee_recipient(address)"] + _A[recipient]
    return sender, POOL, data, 0, w.pool.set_fee_recipient, (sender, recipient), (), (), ()


def pause(w: World, sender: Address, functions: int, until: int) -> Call:
    data = w.pool_selectors["pause(uint256,uint256)"] + _u(functions) + _u(until)
    return sender, POOL, data, 0, w.pool.pause, (sender, functions, until), (), (), ()


def grant_role(w: World, sender: Address, role: str, account: Address) -> Call:
    data = w.pool_selectors["grantRole(bytes32,address)"] + ROLE_IDS[role] + _A[account]
    return sender, POOL, data, 0, w.pool.roles.grant, (sender, role, account), (), (), ()


def revoke_role(w: World, sender: Address, role: str, account: Address) -> Call:
    data = w.pool_selectors["revokeRole(bytes32,address)"] + ROLE_IDS[role] + _A[account]
    return sender, POOL, data, 0, w.pool.roles.revoke, (sender, role, account), (), (), ()


# --- queue ---


def request(w: World, sender: Address, shares: int, receiver: Address) -> Call:
    data = w.queue_selectors["request(uint256,address)"] + _u(shares) + _A[receiver]
    new = (len(w.queue.ends),)
    return sender, QUEUE, data, 0, w.queue.request, (sender, shares, receiver), (sender,), new, ()


def request_many(w: World, sender: Address, shares: list[int], receiver: Address) -> Call:
    data = w.queue_selectors["request_many(uint256[],address)"] + _u(64) + _A[receiver] + _list(shares)
    first = len(w.queue.ends)
    new = tuple(range(first, first + len(shares)))
    return sender, QUEUE, data, 0, w.queue.request_many, (sender, shares, receiver), (sender,), new, ()


def settle(w: World, sender: Address, value: int, shares: int) -> Call:
    data = w.queue_selectors["settle(uint256)"] + _u(shares)
    return sender, QUEUE, data, value, w.queue.settle, (sender, shares, value), (), (), ()


def claim(w: World, sender: Address, ticket: int, *hint: int) -> Call:
    if hint:
        data = w.queue_selectors["claim(uint256,uint256)"] + _u(ticket) + _u(hint[0])
    else:
        data = w.queue_selectors["claim(uint256)"] + _u(ticket)
    return sender, QUEUE, data, 0, w.queue.claim, (sender, ticket, *hint), _owners(w, (ticket,)), (ticket,), ()


def claim_to(w: World, sender: Address, ticket: int, receiver: Address, *hint: int) -> Call:
    data = _u(ticket) + _A[receiver]
    if hint:
        data = w.queue_selectors["claim_to(uint256,address,uint256)"] + data + _u(hint[0])
    else:
        data = w.queue_selectors["claim_to(uint256,address)"] + data
    return sender, QUEUE, data, 0, w.queue.claim_to, (sender, ticket, receiver, *hint), (receiver,), (ticket,), ()


def claim_many(w: World, sender: Address, tickets: list[int], hints: list[int]) -> Call:
    data = w.queue_selectors["claim_many(uint256[],uint256[])"]
    data += _u(64) + _u(96 + 32 * len(tickets)) + _list(tickets) + _list(hints)
    arguments = (sender, tickets, hints)
    return sender, QUEUE, data, 0, w.queue.claim_many, arguments, _owners(w, tickets), tuple(tickets), ()


def _owners(w: World, tickets: Sequence[int]) -> tuple[Address, ...]:
    owners = w.queue.owners
    return tuple([owners[ticket] for ticket in tickets if ticket < len(owners) and owners[ticket] != ZERO])


def ticket_approve(w: World, sender: Address, spender: Address, ticket: int) -> Call:
    data = w.queue_selectors["approve(address,uint256)"] + _A[spender] + _u(ticket)
    return sender, QUEUE, data, 0, w.queue.approve, (sender, spender, ticket), (), (ticket,), ()


def approve_for_all(w: World, sender: Address, operator: Address, approved: bool) -> Call:
    data = w.queue_selectors["setApprovalForAll(address,bool)"] + _A[operator] + _u(approved)
    return sender, QUEUE, data, 0, w.queue.set_approval_for_all, (sender, operator, approved), (), (), ()


def ticket_transfer(w: World, sender: Address, owner: Address, receiver: Address, ticket: int) -> Call:
    data = w.queue_selectors["transferFrom(address,address,uint256)"] + _A[owner] + _A[receiver] + _u(ticket)
    return sender, QUEUE, data, 0, w.queue.transfer_from, (sender, owner, receiver, ticket), (), (ticket,), ()


def ticket_safe_transfer(
    w: World, sender: Address, owner: Address, receiver: Address, ticket: int, with_data: bool
) -> Call:
    data = _A[owner] + _A[receiver] + _u(ticket)
    if with_data:
        selector = w.queue_selectors["safeTransferFrom(address,address,uint256,bytes)"]
        data = selector + data + _u(128) + _u(3) + b"any" + bytes(29)
    else:
        data = w.queue_selectors["safeTransferFrom(address,address,uint256)"] + data
    arguments = (sender, owner, receiver, ticket)
    return sender, QUEUE, data, 0, w.queue.safe_transfer_from, arguments, (receiver,), (ticket,), (receiver,)


# --- rebasing token ---


def wrap(w: World, sender: Address, shares: int) -> Call:
    data = w.token_selectors["wrap(uint256)"] + _u(shares)
    return sender, TOKEN, data, 0, w.token.wrap, (sender, shares), (sender, TOKEN), (), ()


def unwrap(w: World, sender: Address, shares: int) -> Call:
    data = w.token_selectors["unwrap(uint256)"] + _u(shares)
    return sender, TOKEN, data, 0, w.token.unwrap, (sender, shares), (sender, TOKEN), (), ()


def stake(w: World, sender: Address, value: int, *more: Any) -> Call:
    """`more` is nothing, the receiver, he and the least shares, or they and the referral."""
    types = ("", "address", "address,uint256", "address,uint256,address")[len(more)]
    data = w.token_selectors[f"stake({types})"]
    data += b"".join([_u(part) if isinstance(part, int) else _A[part] for part in more])
    arguments = (sender, value, *more[:2]) if more else (sender, value, sender)
    return sender, TOKEN, data, value, w.token.stake, arguments, (arguments[2], TOKEN), (), ()


def token_transfer(w: World, sender: Address, receiver: Address, amount: int) -> Call:
    data = w.token_selectors["transfer(address,uint256)"] + _A[receiver] + _u(amount)
    return sender, TOKEN, data, 0, w.token.transfer, (sender, receiver, amount), (sender, receiver), (), ()


def token_transfer_from(w: World, sender: Address, owner: Address, receiver: Address, amount: int) -> Call:
    data = w.token_selectors["transferFrom(address,address,uint256)"] + _A[owner] + _A[receiver] + _u(amount)
    return sender, TOKEN, data, 0, w.token.transfer_from, (sender, owner, receiver, amount), (owner, receiver), (), ()


def transfer_shares(w: World, sender: Address, receiver: Address, shares: int) -> Call:
    data = w.token_selectors["transfer_shares(address,uint256)"] + _A[receiver] + _u(shares)
    return sender, TOKEN, data, 0, w.token.transfer_shares, (sender, receiver, shares), (sender, receiver), (), ()


def transfer_shares_from(w: World, sender: Address, owner: Address, receiver: Address, shares: int) -> Call:
    data = w.token_selectors["transfer_shares_from(address,address,uint256)"] + _A[owner] + _A[receiver] + _u(shares)
    arguments = (sender, owner, receiver, shares)
    return sender, TOKEN, data, 0, w.token.transfer_shares_from, arguments, (owner, receiver), (), ()


# --- vaults ---


def sweep(w: World, sender: Address, vault: Address, amount: int) -> Call:
    part = w.pool.withdrawal_vault if vault == WITHDRAWAL_VAULT else w.pool.execution_vault
    return sender, vault, w.sweep_selector + _u(amount), 0, part.sweep, (sender, amount), (), (), ()


CALLS: dict[str, Callable[..., Call]] = {
    function.__name__: function
    for function in (
        deposit, send_ether, mint, withdraw, redeem, transfer, transfer_from, approve, permit, lock_for_exit, fulfil,
        declare_stale, send_to_validators, raise_pending_loss, receive_from_vault, report, set_parameters,
        set_deposit_ceiling, set_fee_recipient, pause, grant_role, revoke_role, request, request_many, settle, claim,
        claim_to, claim_many, ticket_approve, approve_for_all, ticket_transfer, ticket_safe_transfer, wrap, unwrap,
        stake, token_transfer, token_transfer_from, transfer_shares, transfer_shares_from, sweep,
    )
}  # fmt: skip
"""Transactions by name. Their first argument is always the sender."""


DEEDS: dict[str, Callable[..., str | None]] = {}
"""What else happens, by name, in worlds that are more than contracts; their modules fill it."""


def perform(w: World, action: Action) -> str | None:
    """Do what the action says, on both sides; returns the revert reason if it is a transaction that reverts.

    Besides transactions there are "travel" (seconds), "force" (account, wei), "scarce" (a transaction with little gas)
    and "ordered": an account, its order, the call it makes then (or None), and the transaction.
    """
    name, *arguments = action
    make = CALLS.get(name)
    if make is not None:
        return w.run(make(w, *arguments))
    if name == "travel":
        w.travel(*arguments)
    elif name == "force":
        w.force(*arguments)
    elif name in DEEDS:
        return DEEDS[name](w, *arguments)
    elif name == "scarce":
        w.chain.scarce = True
        try:
            return perform(w, arguments[0])
        finally:
            w.chain.scarce = False
    else:
        account, conduct, reaction, outer = arguments
        inner = CALLS[reaction[0]](w, account, *reaction[1:]) if reaction else None
        w.orders = {account: (conduct, inner)}
        try:
            return perform(w, outer)
        finally:
            w.orders = {}
    return None
