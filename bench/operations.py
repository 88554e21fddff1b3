"""Every operation that is measured: what is sent, and from which state.

Each function gets the warm protocol and returns the gas of its samples; `measure` puts the chain back after each, so
none depends on another. `OPERATIONS` are rows of `BARS`, `OTHERS` are for information. Those of the validator registry
are in `validators.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eth_account import Account

from bench.node import Transaction
from bench.protocol import DAY, ETHER, GWEI, HOUR, MEMBERS, Contract, Protocol

SAMPLES = 32

BATCH = 64
"""Most tickets in a request."""

OPERATORS = 3
"""Among whom fees are split."""

Samples = list[int]
Operation = Callable[[Protocol], Samples]


def measure(protocol: Protocol, operations: dict[str, Operation]) -> dict[str, Samples]:
    """Run each operation from the same warm state; the samples' gas by the operation's key, in the given order."""
    results: dict[str, Samples] = {}
    for key, operation in operations.items():
        snapshot = protocol.node.snapshot()
        protocol.random.seed(key)
        results[key] = operation(protocol)
        protocol.node.restore(snapshot)
    return results


# --- entry ---


def deposit_repeat(p: Protocol) -> Samples:
    """Stake for somebody who has shares."""
    return p.gas([p.deposit(holder, p.amount()) for holder in p.some(SAMPLES)])


def deposit_first(p: Protocol) -> Samples:
    """Stake for somebody who has none."""
    return p.gas([p.deposit(p.account(), p.amount()) for _ in range(SAMPLES)])


def deposit_plain(p: Protocol) -> Samples:
    """Stake by sending ETH without calldata."""
    return p.gas([Transaction(holder, p.pool.address, value=p.amount()) for holder in p.some(SAMPLES)])


def deposit_referral(p: Protocol) -> Samples:
    """Stake with a least number of shares and a referral."""
    signature = "deposit(uint256,address,uint256,address)"
    sent = []
    for holder in p.some(SAMPLES):
        wei = p.amount()
        sent.append(p.pool.transaction(holder, signature, wei, holder, wei // 2, p.outsider, value=wei))
    return p.gas(sent)


def mint(p: Protocol) -> Samples:
    """Buy an exact number of shares and get change."""
    sent = []
    for holder in p.some(SAMPLES):
        shares = p.amount()
        sent.append(p.pool.transaction(holder, "mint(uint256,address)", shares, holder, value=2 * shares))
    return p.gas(sent)


# --- shares ---


def transfer_existing(p: Protocol) -> Samples:
    """Move shares from one holder to another."""
    return p.gas(
        [
            p.pool.transaction(holder, "transfer(address,uint256)", to, p.amount())
            for holder, to in pairs(p.some(2 * SAMPLES))
        ]
    )


def transfer_new(p: Protocol) -> Samples:
    """Move shares from a holder to somebody without any."""
    return p.gas(
        [p.pool.transaction(holder, "transfer(address,uint256)", p.account(), p.amount()) for holder in p.some(SAMPLES)]
    )


def transfer_from(p: Protocol) -> Samples:
    """Move a part of what the owner has allowed, to another holder."""
    couples = pairs(p.some(2 * SAMPLES))
    p.gas([p.pool.transaction(owner, "approve(address,uint256)", to, p.amount(100, 200)) for owner, to in couples])
    signature = "transferFrom(address,address,uint256)"
    return p.gas([p.pool.transaction(to, signature, owner, to, p.amount()) for owner, to in couples])


def approve(p: Protocol) -> Samples:
    """Give a first allowance."""
    couples = pairs(p.some(2 * SAMPLES))
    return p.gas([p.pool.transaction(owner, "approve(address,uint256)", to, p.amount()) for owner, to in couples])


def permit(p: Protocol) -> Samples:
    """Give a first allowance by signature, which somebody else brings."""
    signature = "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"
    deadline = p.node.time + DAY
    fields = (("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256"))
    types = {"Permit": [{"name": name, "type": kind} for name, kind in (*fields, ("deadline", "uint256"))]}
    domain = {
        "name": "Floe ETH",
        "version": "1",
        "chainId": int(p.node.rpc("eth_chainId"), 16),
        "verifyingContract": p.pool.address,
    }
    sent = []
    for spender in p.some(SAMPLES):
        owner, value = Account.from_key(p.random.randbytes(32)), p.amount()
        message = {"owner": owner.address, "spender": spender, "value": value, "nonce": 0, "deadline": deadline}
        signed = owner.sign_typed_data(domain, types, message)
        r, s = signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
        sent.append(p.pool.transaction(spender, signature, owner.address, spender, value, deadline, signed.v, r, s))
    return p.gas(sent)


# --- the rebasing view ---


def rebasing_transfer(p: Protocol) -> Samples:
    """Move an amount from one holder to another."""
    return p.gas(
        [
            p.rebasing.transaction(holder, "transfer(address,uint256)", to, p.amount(0.1, 50))
            for holder, to in pairs(p.some(2 * SAMPLES))
        ]
    )


def rebasing_transfer_shares(p: Protocol) -> Samples:
    """Move shares from one holder to another."""
    return p.gas(
        [
            p.rebasing.transaction(holder, "transfer_shares(address,uint256)", to, p.amount(0.1, 50))
            for holder, to in pairs(p.some(2 * SAMPLES))
        ]
    )


def wrap(p: Protocol) -> Samples:
    """Wrap again, under an unlimited allowance."""
    return p.gas([p.rebasing.transaction(holder, "wrap(uint256)", p.amount()) for holder in p.some(SAMPLES)])


def unwrap(p: Protocol) -> Samples:
    """Unwrap a part of what one has wrapped."""
    return p.gas([p.rebasing.transaction(holder, "unwrap(uint256)", p.amount(0.1, 50)) for holder in p.some(SAMPLES)])


def stake_and_wrap(p: Protocol) -> Samples:
    """Turn ETH into the rebasing token in one call."""
    return p.gas([p.rebasing.transaction(holder, "stake()", value=p.amount()) for holder in p.some(SAMPLES)])


# --- the queue ---


def request_repeat(p: Protocol) -> Samples:
    """Queue another ticket."""
    return p.gas([request(p, holder) for holder in p.some(SAMPLES)])


def request_first(p: Protocol) -> Samples:
    """Queue a first ticket."""
    newcomers = [p.account() for _ in range(SAMPLES)]
    p.gas([p.deposit(newcomer, p.amount(200, 400)) for newcomer in newcomers])
    return p.gas([request(p, newcomer) for newcomer in newcomers])


def request_ten_each(p: Protocol) -> Samples:
    """Queue ten more tickets at once: a tenth of it, rounded up."""
    sent = [p.request(holder, [p.amount(0.1, 20) for _ in range(10)]) for holder in p.some(SAMPLES)]
    return each(p.gas(sent), 10)


def fulfil(p: Protocol) -> Samples:
    """Pay all that is eligible, 1 to 64 tickets, while others wait."""
    return [fulfil_a_day(p, p.random.randint(1, BATCH)) for _ in range(SAMPLES)]


def fulfil_in_deficit(p: Protocol) -> Samples:
    """Pay all that is eligible while a past loss has not been earned back."""
    p.day(gain=-100 * ETHER)
    return [fulfil_a_day(p, p.random.randint(1, BATCH)) for _ in range(SAMPLES)]


def fulfil_in_loss(p: Protocol) -> Samples:
    """Pay all that is eligible while a loss is pending."""
    return [fulfil_a_day(p, p.random.randint(1, BATCH), pending_loss=p.amount(1, 2)) for _ in range(SAMPLES)]


def safe_transfer_from(p: Protocol) -> Samples:
    """Move a ticket from one owner to another."""
    couples = pairs(p.some(2 * SAMPLES))
    first = p.read(p.queue, "tickets()")[0] + 1
    p.gas([request(p, owner) for owner, _ in couples])
    signature = "safeTransferFrom(address,address,uint256)"
    return p.gas(
        [p.queue.transaction(owner, signature, owner, to, first + index) for index, (owner, to) in enumerate(couples)]
    )


# --- the instant exit ---


def instant_exit(p: Protocol) -> Samples:
    """Take out an exact number of wei, with the buffer below its target (`withdraw`, the dearer of the two)."""
    empty_buffer(p)
    signature = "withdraw(uint256,address,address)"
    return p.gas([p.pool.transaction(holder, signature, p.amount(), holder, holder) for holder in p.some(SAMPLES)])


def redeem(p: Protocol) -> Samples:
    """Give an exact number of shares, with the buffer below its target."""
    empty_buffer(p)
    signature = "redeem(uint256,address,address)"
    return p.gas([p.pool.transaction(holder, signature, p.amount(), holder, holder) for holder in p.some(SAMPLES)])


# --- reports ---


def oracle_cycle(p: Protocol) -> Samples:
    """Report rewards of every kind with five signatures, principal, gifts and tips to sweep, and pay exits."""
    gas = []
    for _ in range(SAMPLES):
        p.gas([request(p, p.some(1)[0])])
        points = p.read(p.queue, "points()")
        gas.append(p.day())
        assert p.read(p.queue, "points()")[0] == points[0] + 1
    return gas


def report_loss(p: Protocol) -> Samples:
    """Report that validators lost ETH, and that more is pending; nobody wants to leave."""
    p.day()
    return [p.day(gain=-p.amount(1, 2), pending_loss=p.amount(1, 2)) for _ in range(SAMPLES)]


def vote(p: Protocol) -> Samples:
    """Vote for a report on chain, as members do who voted for another one before."""
    places = [*range(MEMBERS)] * (SAMPLES // MEMBERS + 2)
    p.node.endow([member.address for member in p.members], ETHER)
    sent = [
        p.oracle.transaction(p.members[place].address, "vote(uint256,bytes32)", place, p.random.randbytes(32))
        for place in places
    ]
    return p.gas(sent)[MEMBERS:]


def send_to_validators(p: Protocol) -> Samples:
    """Take ETH for new validators, as their registry."""
    signature = "send_to_validators(uint256)"
    return p.gas([p.pool.transaction(p.registry.address, signature, p.amount(32, 64)) for _ in range(SAMPLES)])


def raise_pending_loss(p: Protocol) -> Samples:
    """Count slashings as lost, as the registry that has seen them proven."""
    signature = "raise_pending_loss(uint256)"
    return p.gas([p.pool.transaction(p.registry.address, signature, p.amount(1, 32) // GWEI) for _ in range(SAMPLES)])


def declare_stale(p: Protocol) -> Samples:
    """Let exits go on after reports have stopped."""
    return [p.gas([p.pool.transaction(p.outsider, "declare_stale()")], 4 * DAY)[0] for _ in range(SAMPLES)]


# --- fees ---


def distribute_fees(p: Protocol) -> Samples:
    """Split the fees that a report has brought."""
    splitter = fee_splitter(p)
    gas = []
    for _ in range(SAMPLES):
        p.day()
        gas += p.gas([splitter.transaction(p.outsider, "distribute()")])
    return gas


def sync_operator(p: Protocol) -> Samples:
    """Take over the weight that an operator has now."""
    splitter = fee_splitter(p)
    signature = "set_operator(uint256,address,uint256,uint256)"
    gas = []
    for place in range(SAMPLES):
        p.day()
        operator = place % OPERATORS + 1
        weight = p.random.randint(1, 1_000)
        p.gas([p.registry.transaction(p.deployer, signature, operator, p.holders[operator], weight, 100)])
        gas += p.gas([splitter.transaction(p.outsider, "sync(uint256)", operator)])
    return gas


def claim_fees(p: Protocol) -> Samples:
    """Pay an operator what it has earned, and split what has come before."""
    splitter = fee_splitter(p)
    gas = []
    for place in range(SAMPLES):
        p.day()
        gas += p.gas([splitter.transaction(p.outsider, "claim(uint256)", place % OPERATORS + 1)])
    return gas[OPERATORS:]  # paid before


OPERATIONS: dict[str, Operation] = {
    operation.__name__: operation
    for operation in (
        deposit_repeat,
        deposit_first,
        transfer_existing,
        transfer_new,
        rebasing_transfer,
        wrap,
        unwrap,
        request_repeat,
        request_first,
        request_ten_each,
        fulfil,
        oracle_cycle,
        vote,
        instant_exit,
    )
}
"""By the keys of `gas.json`. The claims come from `flatness.py`, which makes the ten thousand points they need."""

OTHERS: dict[str, Operation] = {
    "deposit, plain ETH": deposit_plain,
    "deposit with limit and referral": deposit_referral,
    "mint, with change": mint,
    "redeem (instant exit)": redeem,
    "transferFrom, part of an allowance": transfer_from,
    "approve": approve,
    "permit": permit,
    "rebasing transfer of shares": rebasing_transfer_shares,
    "stake and wrap": stake_and_wrap,
    "ticket: safeTransferFrom": safe_transfer_from,
    "fulfil with a deficit": fulfil_in_deficit,
    "fulfil with a pending loss": fulfil_in_loss,
    "report with a loss": report_loss,
    "send to validators": send_to_validators,
    "raise the pending loss": raise_pending_loss,
    "declare stale": declare_stale,
    "fees: distribute": distribute_fees,
    "fees: sync an operator": sync_operator,
    "fees: claim": claim_fees,
}
"""By what is shown."""


# --- inside ---


def pairs(accounts: Sequence[str]) -> list[tuple[str, str]]:
    """Couples of different accounts."""
    return list(zip(accounts[::2], accounts[1::2], strict=True))


def each(gas: Samples, count: int) -> Samples:
    """Share the gas of every sample among `count`, rounded up."""
    return [-(-one // count) for one in gas]


def request(p: Protocol, holder: str) -> Transaction:
    """One ticket."""
    return p.queue.transaction(holder, "request(uint256,address)", p.amount(), holder)


def fee_splitter(p: Protocol) -> Contract:
    """Return the fee splitter, which has split fees among operators before."""
    splitter = p.contracts["FeeSplitter"]
    signature = "add_operator(address,address,uint256,uint256)"
    for operator in range(1, OPERATORS + 1):
        manager = p.holders[operator]
        p.gas([p.registry.transaction(p.deployer, signature, manager, manager, p.random.randint(1, 1_000), 100)])
        p.gas([splitter.transaction(p.outsider, "sync(uint256)", operator)])
    p.day()
    p.gas([splitter.transaction(p.outsider, "distribute()")])
    return splitter


def empty_buffer(p: Protocol) -> None:
    """Bring what is free in the buffer below its target."""
    amount = p.read(p.pool, "stakeable()")[0] - ETHER
    p.gas([p.pool.transaction(p.registry.address, "send_to_validators(uint256)", amount)])
    p.gas([p.request(p.some(1)[0], [2 * ETHER])])
    assert p.read(p.pool, "stakeable()")[0] == 0


def fulfil_a_day(p: Protocol, tickets: int, pending_loss: int = 0) -> int:
    """Request, report a day later without the last ticket, and return the gas of the fulfilment an hour after that."""
    sizes = [p.amount(0.02, 0.2) for _ in range(tickets)]
    p.gas([p.request(p.some(1)[0], sizes[i : i + BATCH]) for i in range(0, tickets, BATCH)])
    tail = p.tail()
    p.gas([request(p, p.some(1)[0])])
    p.day(tail, gain=0, pending_loss=pending_loss, pays=False)
    return p.gas([p.fulfil()], HOUR)[0]
