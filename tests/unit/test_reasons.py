"""Every function with every reason it can revert with: documented, and provoked by a test of this folder.

The reasons come from the sources (tests/sources.py): a new `assert` anywhere in a contract or its modules fails
here until a test provokes it through each external function that reaches it, or the table below says why none can.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from floe import build
from tests import sources
from tests.calls import CONTRACTS as CALLED
from tests.calls import Call, Stage, changing
from tests.evm import PROVOKED, RevertError, functions

CONTRACTS = build.names(mocks=False)

NOBODY = "nobody calls in the name of the zero address"

# Contract, functions, reason: why no call to them can end with it.
UNREACHABLE = [
    (
        "FloePool",
        "withdraw redeem fulfil send_to_validators",
        "pool: total over 96 bits",
        "these only lower S and A, or move ETH that is within A already",
    ),
    (
        "FloePool",
        "withdraw previewWithdraw",
        "instant: no convergence",
        "the rate counts in millionths and settles within a handful of rounds (test_lib_instant_fee)",
    ),
    ("FloePool", "__default__", "receiver: refused", "only nobody, the pool and the queue are refused: none sends ETH"),
    ("FloePool", "__default__", "slippage: too few shares", "it asks for no minimum"),
    ("FloePool", "maxMint", "pool: no value", "without value maxDeposit is 0, and that is answered before"),
    (
        "FloePool",
        "fulfil",
        "caller: not the pool",
        "the queue is built for this pool, and this pool for that queue",
    ),
    (
        "FloePool",
        "report declare_stale",
        "caller: not the pool; caller: not a vault",
        "the constructor makes sure that the vaults are this pool's",
    ),
    ("FloePool", "declare_stale", "vault: balance too low", "it sweeps what is there"),
    (
        "WithdrawalVault",
        "sweep",
        "caller: not a vault",
        "the pool's constructor takes a vault only if that names it as its pool",
    ),
    ("ExecutionVault", "sweep", "caller: not a vault", "as above"),
    (
        "WithdrawalQueue",
        "request request_many",
        "caller: not the queue",
        "the pool is built for this queue",
    ),
    ("RebasingToken", "stake", "deposit: value differs", "it names the value it sends"),
    (
        "RebasingToken",
        "wrap unwrap",
        "receiver: refused",
        "shares go to the token or to the caller, who may have them",
    ),
    ("Pauser", "resume", "pause: too long", "it asks for a time that has passed"),
    (
        "Lens",
        "tickets",
        "ticket: does not exist",
        "it asks only for tickets that were made",
    ),
    ("Lens", "account", "receiver: refused", "nobody's account is answered without asking the queue"),
    ("ValidatorRegistry", "__init__", "fork: too many", "it takes no more than fit"),
    ("ValidatorRegistry", "add_operator", "operator: does not exist", "it has just been added"),
    ("ValidatorRegistry", "add_bond top_up", "bond: too low", "these only raise it"),
    (
        "ValidatorRegistry",
        "withdraw_bond request_withdrawals consolidate",
        "operator: number too large",
        "these only lower bond and stake, or move stake within an operator",
    ),
    (
        "ValidatorRegistry",
        "top_up",
        "ether: send failed; pool: total over 96 bits",
        "the registry takes the pool's ETH, and that lowers what the pool counts",
    ),
    (
        "ValidatorRegistry",
        "request_withdrawals consolidate",
        "receiver: refused",
        "what is left goes to the caller, who is neither nobody, nor the pool, nor the vault",
    ),
    (
        "ValidatorRegistry",
        "prove_one prove_withdrawn",
        "proof: not in one subtree",
        "these take one validator",
    ),
    (
        "FeeSplitter",
        "distribute sync cover_loss set_parts set_registry",
        "receiver: refused",
        "the treasury and the execution vault may have shares and tickets",
    ),
    (
        "FeeSplitter",
        "distribute sync claim cover_loss set_parts set_treasury set_registry",
        "balance: too low",
        "what it sends is there",
    ),
    ("FeeSplitter", "cover_loss", "caller: not the queue", "the queue is the pool's"),
    ("ReportOracle", "submit accept reject", "pause: too long", "it pauses for two days at most, and puts back less"),
    (
        "ReportOracle",
        "submit accept",
        "caller: not a vault; caller: not the pool; vault: balance too low",
        "the vaults are the pool's, and counters that are ahead of the vault are refused before",
    ),
    (
        "ReportOracle",
        "accept",
        "report: deposits ahead of pool; report: raises ahead of pool; report: tail ahead of queue; "
        "report: donations fell",
        "it was held only because the chain knew as much, and the chain does not forget",
    ),
    ("FeeSplitter", "cover_loss", "request: line over 95 bits", "the line is longer than all shares there ever are"),
    # snekmate's token, in three contracts.
    *(
        row
        for token in ("StablePair", "ExitReserve", "WethVault")
        for row in (
            (token, "transfer transferFrom", "erc20: transfer from the zero address", NOBODY),
            (token, "transferFrom", "erc20: approve to the zero address", NOBODY),
            (token, "approve permit", "erc20: approve from the zero address", "as above, and nobody signs for nobody"),
        )
    ),
    (
        "StablePair",
        "add_liquidity buy sell remove_liquidity remove_one fee price price_cumulative virtual_price preview_add "
        "preview_buy preview_sell preview_remove preview_remove_one",
        "pair: no convergence",
        "the whole domain is solved in time (test_pair_math)",
    ),
    ("StablePair", "buy collect", "balance: too low", "what it sends is there"),
    ("StablePair", "add_liquidity", "erc20: mint to the zero address", "the receiver was looked at before"),
    ("StablePair", "remove_liquidity remove_one", "erc20: burn from the zero address", NOBODY),
    (
        "StablePair",
        "sell remove_liquidity remove_one",
        "pool: total over 96 bits",
        "these only lower its ETH, and floETH is within 96 bits",
    ),
    (
        "StablePair",
        "remove_liquidity preview_remove",
        "pair: too far from balance",
        "out of the domain it asks for no value",
    ),
    ("ExitReserve", "deposit mint", "erc20: mint to the zero address", "the receiver was looked at before"),
    ("ExitReserve", "transfer transferFrom", "erc20: transfer to the zero address", "as above"),
    (
        "ExitReserve",
        "withdraw redeem",
        "erc20: burn from the zero address; erc20: approve to the zero address",
        NOBODY,
    ),
    (
        "ExitReserve",
        "withdraw redeem sell sell_ticket queue_exits claim",
        "pool: total over 96 bits",
        "what was booked stays the same or moves from one field to another",
    ),
    ("ExitReserve", "sell_ticket", "claim: nothing filled", "it claims only what is filled"),
    ("ExitReserve", "sell_ticket claim", "claim: too little gas", "the ticket's owner itself calls"),
    ("ExitReserve", "claim", "ether: send failed", "it takes its own ETH"),
    (
        "ExitReserve",
        "queue_exits",
        "balance: too low; caller: not the queue; receiver: refused; request: zero shares; request: line over 95 bits; "
        "ticket: does not exist",
        "what it queues is there, and the queue is the pool's",
    ),
    ("ExitReserve", "stake", "balance: too low; deposit: value differs", "what it sends is there, and named"),
    (
        "ExitReserve",
        "maxMint",
        "reserve: first deposit; reserve: no value",
        "without room or value it answers 0 before",
    ),
    ("WethVault", "deposit", "deposit: value differs", "it names the value it sends"),
    ("WethVault", "deposit mint", "erc20: mint to the zero address", "the receiver was looked at before"),
    ("WethVault", "mint", "mint: value too low; ether: send failed", "it pays the price exactly"),
    (
        "WethVault",
        "withdraw redeem",
        "allowance: too low; balance: too low",
        "it redeems its own floETH, of which it has as much as it has shares",
    ),
    (
        "WethVault",
        "withdraw redeem request_exit",
        "erc20: burn from the zero address; erc20: approve to the zero address",
        NOBODY,
    ),
    ("WethVault", "withdraw redeem", "ether: send failed; pool: total over 96 bits", "it takes the ETH"),
    ("WethVault", "withdraw previewWithdraw", "instant: no convergence", "as the pool's"),
    (
        "WethVault",
        "request_exit",
        "balance: too low; caller: not the queue; request: line over 95 bits",
        "it has as much floETH as shares, and the queue is the pool's",
    ),
    ("WethVault", "claim", "ether: send failed; claim: too little gas", "owner and caller are one"),
    ("WethVault", "maxMint", "pool: no value", "as the pool's"),
    (
        "Gauge",
        "stake withdraw emergency_exit",
        "erc20: transfer from the zero address; erc20: transfer to the zero address",
        "the gauge and its callers are somebody, and receivers are looked at before",
    ),
    ("Gauge", "stake", "erc20: approve from the zero address; erc20: approve to the zero address", "as above"),
    (
        "Gauge",
        "withdraw emergency_exit",
        "erc20: transfer amount exceeds balance; pair: fresh liquidity",
        "what was staked is there, and could not have come while it was fresh",
    ),
    ("Zap", "zap", "deposit: value differs", "it names the value it sends"),
    ("Zap", "zap", "allowance: too low; balance: too low", "approved for ever; it provides what it has just bought"),
    ("Zap", "zap", "erc20: mint to the zero address; pair: no convergence", "as the pair's `add_liquidity`"),
]

# Reasons of sums that hold more ETH than there is, or than one operator ever has: said once, in the modules that pack
# them.
CAPACITY = {
    "pool: total over 96 bits",
    "request: line over 95 bits",
    "instant: no convergence",
    "operator: number too large",
}

# Arguments that overflow a product or a sum when they are near 2**256: the compiler's own checks give no reason.
OVERFLOWING = {
    "FloePool.mint/2 shares",
    "FloePool.redeem/3 shares",
    "FloePool.redeem/4 shares",
    "FloePool.report/1 cl",
    "FloePool.report/1 withdrawn_at_ref",
    "ReportOracle.set_committee/2 quorum",
    "RebasingToken.transfer/2 amount",
    "RebasingToken.transferFrom/3 amount",
    "RebasingToken.transfer_shares/2 shares",
    "RebasingToken.transfer_shares_from/3 shares",
    "RebasingToken.wrap/1 shares",
    "WithdrawalQueue.request/2 shares",
    "WithdrawalQueue.request_many/2 shares",
    "StablePair.add_liquidity/2 shares",
    "StablePair.add_liquidity/3 shares",
    "StablePair.sell/2 shares",
    "StablePair.sell/3 shares",
    "ExitReserve.mint/2 shares",
    "ExitReserve.redeem/3 shares",
    "ExitReserve.redeem/4 shares",
    "ExitReserve.sell/2 shares",
    "ExitReserve.sell/3 shares",
    "ExitReserve.withdraw/3 assets",
    "ExitReserve.withdraw/4 assets",
    "WethVault.mint/2 shares",
    "WethVault.withdraw/3 assets",
    "WethVault.withdraw/4 assets",
    # WETH and the tests' token give no reason for what they refuse.
    "WethVault.deposit/2 assets",
    "WethVault.deposit/3 assets",
    "Zap.zap/4 weth_amount",
    "Gauge.notify/2 amount",
}

Key = tuple[str, str, str]


def unreachable() -> set[Key]:
    return {
        (contract, function, reason)
        for contract, functions, reasons, _ in UNREACHABLE
        for function in functions.split()
        for reason in reasons.split("; ")
    }


def reachable() -> set[Key]:
    """Return what the sources allow, whether or not a call can get there."""
    return {
        (contract, function, reason)
        for contract in CONTRACTS
        for function in sources.functions(contract)
        for reason in sources.reasons(contract, function)
    }


def listed(keys: set[Key]) -> str:
    return "\n".join(f"{contract}.{function}: {reason}" for contract, function, reason in sorted(keys))


def test_sources__known_functions__have_the_reasons_that_they_should():
    """Guard the reading itself: own asserts, the helper, a module's module, a call into another contract."""
    assert sources.reasons("FloePool", "transferFrom") == {
        "allowance: too low",
        "receiver: refused",
        "balance: too low",
    }
    assert "ecdsa: invalid signature" in sources.reasons("RebasingToken", "permit")
    assert "allowance: too low" in sources.reasons("RebasingToken", "wrap")
    assert "vault: balance too low" in sources.reasons("FloePool", "report")
    assert sources.reasons("FloePool", "totalSupply") == set()
    assert "__init__" in sources.functions("Timelock")
    assert "__default__" in sources.functions("FloePool")


def test_reasons__declared__are_all_used():
    assert sources.declared() == {reason for _, _, reason in reachable() if reason in sources.declared()}


def test_reasons__declared__are_short_and_say_subject_and_problem():
    for reason in sources.declared():
        subject, _, problem = reason.partition(": ")
        assert subject == subject.lower(), reason
        assert subject and problem, reason
        assert len(reason) <= 32, reason


def test_unreachable__every_entry__is_in_the_sources():
    stale = unreachable() - reachable()
    assert not stale, f"not in the sources any more:\n{listed(stale)}"


@pytest.mark.parametrize("contract", CONTRACTS)
def test_docstrings__of_our_own_functions__list_their_reasons(contract: str):
    """A docstring may refer to another function's list ("as `deposit`"), which may hold more than applies."""
    for name, function in sources.functions(contract).items():
        if not function.own:
            continue
        here = {reason for c, f, reason in reachable() - unreachable() if (c, f) == (contract, name)}
        quoted, referred = sources.documented(contract, name)
        assert quoted <= here, f"{contract}.{name} documents what cannot happen: {quoted - here}"
        missing = here - quoted - referred - CAPACITY
        assert not missing, f"{contract}.{name} does not document {missing}"


def largest(argument: dict[str, Any], given: Any) -> Iterator[tuple[str, Any]]:
    """Yield each number of an argument by name, and the argument with that number as large as it can be."""
    kind: str = argument["type"]
    if kind == "uint256" and argument["name"] not in ("functions", "into"):  # flags
        yield argument["name"], 2**256 - 1
    elif kind == "uint256[]":
        yield argument["name"], [2**256 - 1] * 2
    elif kind == "tuple":
        for i, part in enumerate(argument["components"]):
            for name, value in largest(part, given[i]):
                yield name, (*given[:i], value, *given[i + 1 :])


@pytest.mark.parametrize("key", sorted(set().union(*map(changing, CALLED))))
def test_largest_numbers__in_every_argument__revert_with_a_reason_or_are_listed(stage: Stage, key: str):
    protocol, call = stage.protocol, stage.calls[key]
    inputs: list[Any] = next((e["inputs"] for e in functions(call.contract.kind) if is_called(e, call)), [])
    protocol.evm.travel(call.wait)
    for i, argument in enumerate(inputs):
        for name, value in largest(argument, call.arguments[i]):
            arguments = (*call.arguments[:i], value, *call.arguments[i + 1 :])
            with protocol.evm.undone():
                try:
                    Call(call.contract, call.function, arguments, call.value).make(stage.wallet)
                except RevertError as error:
                    assert error.reason or f"{key} {name}" in OVERFLOWING, name
                    assert not error.reason.startswith("halt")


def is_called(entry: dict[str, Any], call: Call) -> bool:
    return bool(entry["name"] == call.function and len(entry["inputs"]) == len(call.arguments))


def test_every_reason__of_every_function__is_provoked(request: pytest.FixtureRequest):
    """Runs last in this folder, and needs all files that demand reverts to have run before."""
    files = {file for file in Path(__file__).parent.glob("test_*.py") if "with reverts(" in file.read_text()}
    ran = {item.path for item in request.session.items}
    if files - ran:
        pytest.skip(f"run all of tests/unit: {', '.join(sorted(file.name for file in files - ran))} did not run")

    silent = reachable() - unreachable() - PROVOKED
    assert not silent, f"no test provokes:\n{listed(silent)}"
    surprising = PROVOKED & unreachable()
    assert not surprising, f"said to be unreachable, and provoked:\n{listed(surprising)}"


def test_every_revert__seen_in_a_test__is_known_from_the_sources():
    """The other way round, so that the reading of the sources is not blind to a path."""
    seen = {
        (contract, function, reason)
        for contract, function, reason in PROVOKED
        if contract in CONTRACTS and reason and "halt" not in reason
        # These pass on whatever the one they call reverts with: anybody, and a ticket's receiver.
        if contract != "Timelock" and (contract, function) != ("WithdrawalQueue", "safeTransferFrom")
    }
    assert seen <= reachable(), f"not in the sources:\n{listed(seen - reachable())}"
