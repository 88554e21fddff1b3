"""What an observer believes of its nodes: their logs must add up, and blocks of both chains must say the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from floe.beacon.client import Header, MissingError
from floe.beacon.containers import MINIMAL, ExecutionPayloadHeader, Validator, beacon_state
from floe.beacon.ssz import BeaconStateView, key_of
from floe.oracle.observer import ObservationError, Observer

ETHER = 10**9
"""Gwei."""
VAULT = "0x" + "Aa" * 20
SLOT, TOPPED_UP = 40, 10
"""Slot of the state, and of the top-ups; the execution block of a slot has its number."""
PUBKEYS = [bytes([number]) * 48 for number in range(1, 4)]


def withdrawal(index: int, validator: int, amount: int, address: str = VAULT) -> dict[str, Any]:
    """Make a withdrawal as a beacon block lists it."""
    return {"index": str(index), "validator_index": str(validator), "amount": str(amount), "address": address}


class Chains:
    """A beacon node and an execution node with three validators of 32 ETH, and a withdrawal of 1 ETH in slot 39."""

    def __init__(self) -> None:
        made = beacon_state("electra", MINIMAL)(slot=SLOT, next_withdrawal_index=1)
        made.latest_execution_payload_header = ExecutionPayloadHeader(block_number=SLOT)
        for pubkey in PUBKEYS:
            made.validators.append(Validator(pubkey=pubkey, exit_epoch=2**64 - 1, withdrawable_epoch=2**64 - 1))
            made.balances.append(32 * ETHER)
        self.state = BeaconStateView(bytes(made.encode_bytes()), "electra", MINIMAL)
        self.header: Any = Header(bytes(32), SimpleNamespace(state_root=bytes(32)))  # type: ignore[arg-type]
        self.deposited = 96 * ETHER
        self.logs = [self.log(pubkey, 31 * ETHER, ETHER) for pubkey in PUBKEYS]
        self.payloads: dict[int, Any] = {
            slot: {"block_number": str(slot), "withdrawals": []} for slot in range(1, SLOT + 1) if slot % 7
        }
        self.payloads[39]["withdrawals"] = [withdrawal(0, 0, ETHER)]
        self.executed = {39: [{"index": 0, "validatorIndex": 0, "amount": ETHER, "address": VAULT}]}
        self.asked = 0

    @staticmethod
    def log(pubkey: bytes, amount: int, bought: int) -> dict[str, Any]:
        """Make a log of ToppedUp."""
        return {"args": {"key": key_of(pubkey), "amount": amount, "bought": bought}, "blockNumber": TOPPED_UP}

    # --- as a beacon node ---

    name, preset, spec = "node", MINIMAL, {"SECONDS_PER_SLOT": "12"}

    def genesis(self) -> Any:
        """Return how it began."""
        return SimpleNamespace(time=0)

    def block(self, slot: int) -> Any:
        """Return a block."""
        if slot not in self.payloads:
            raise MissingError("no such block")
        return SimpleNamespace(message={"body": {"execution_payload": self.payloads[slot]}})

    # --- as an execution node ---

    def get_code(self, *_: Any) -> bytes:
        """Every contract is there."""
        return b"\x01"

    def get_balance(self, *_: Any) -> int:
        """Return what is in the vault."""
        return ETHER * 10**9

    def get_block(self, number: int) -> Any:
        """Return a block, as web3 reads it."""
        return {"timestamp": 12 * number, "withdrawals": self.executed.get(number, [])}

    def get_logs(self, from_block: int, to_block: int) -> list[Any]:
        """Return the logs of ToppedUp."""
        self.asked += 1
        return [log for log in self.logs if from_block <= log["blockNumber"] <= to_block]


class Reading(Observer):
    """An observer whose contracts are told what to answer."""

    def _contract(self, _name: str, address: str) -> Any:
        chains: Any = self.client

        def answer(value: Any) -> Any:
            return lambda *_: SimpleNamespace(call=lambda **_: value() if callable(value) else value)

        names = {"state": lambda: [0, 0, 0, 0, 0, chains.deposited * 10**9, 0, 0], "tail": 0, "queue": VAULT}
        functions = {name: answer(value) for name, value in (names | {"withdrawal_vault": VAULT}).items()}
        events = SimpleNamespace(ToppedUp=lambda: SimpleNamespace(get_logs=chains.get_logs))
        return SimpleNamespace(address=address, functions=SimpleNamespace(**functions), events=events)


@pytest.fixture
def chains() -> Chains:
    return Chains()


@pytest.fixture
def observer(chains: Chains) -> Observer:
    both: Any = chains
    return Reading(both, SimpleNamespace(eth=chains), VAULT, VAULT)  # type: ignore[arg-type]


def cl_and_withdrawn(observer: Observer, chains: Chains) -> tuple[int, int]:
    """Observe; return two numbers of the report in Gwei."""
    report = observer.observe(SLOT, chains.header, chains.state).report
    return report.cl // 10**9, report.withdrawn_at_ref // 10**9


def test_observe__nodes_that_tell_the_truth__the_numbers(observer: Observer, chains: Chains):
    assert cl_and_withdrawn(observer, chains) == (96 * ETHER, ETHER)


@pytest.mark.parametrize("kept", [0, 2])
def test_observe__execution_node_lacks_logs__no_report_and_all_are_read_again(
    kept: int, observer: Observer, chains: Chains
):
    chains.logs, logs = chains.logs[:kept], chains.logs
    with pytest.raises(ObservationError, match=rf"show {kept * 32 * 10**18} wei of the {96 * 10**18} that the pool"):
        observer.observe(SLOT, chains.header, chains.state)
    chains.logs = logs
    assert cl_and_withdrawn(observer, chains) == (96 * ETHER, ETHER)


def test_observe__logs_of_another_registry__no_report(observer: Observer, chains: Chains):
    chains.deposited += ETHER
    with pytest.raises(ObservationError, match="or the registry is another one by now"):
        observer.observe(SLOT, chains.header, chains.state)


def test_observe__again_and_from_a_checkpoint__logs_are_read_once(observer: Observer, chains: Chains):
    cl_and_withdrawn(observer, chains)
    both: Any = chains
    second = Reading(both, observer.execution, VAULT, VAULT)
    second.resume(observer.checkpoint())
    for each in (observer, second):
        assert cl_and_withdrawn(each, chains) == (96 * ETHER, ETHER)
    assert chains.asked == 1


@pytest.mark.parametrize(
    "payload",
    [
        None,
        5,
        {"block_number": "38"},
        {"block_number": "x", "withdrawals": []},
        {"block_number": "38", "withdrawals": [{"index": "0"}]},
        {"block_number": "38", "withdrawals": [withdrawal(0, 0, ETHER) | {"address": None}]},
    ],
    ids=str,
)
def test_observe__beacon_block_that_is_malformed__no_report(payload: Any, observer: Observer, chains: Chains):
    chains.payloads[38] = payload
    with pytest.raises(ObservationError, match="node: its block of slot 38 is malformed: "):
        observer.observe(SLOT, chains.header, chains.state)


@pytest.mark.parametrize(
    "lie",
    [
        [withdrawal(0, 0, ETHER // 2)],
        [withdrawal(0, 0, ETHER, "0x" + "bb" * 20)],
        [withdrawal(0, 1, ETHER)],
        [withdrawal(0, 0, ETHER), withdrawal(1, 0, ETHER)],
    ],
    ids=["amount", "address", "validator", "one more"],
)
def test_observe__beacon_block_with_other_withdrawals_than_the_execution_block__no_report(
    lie: list[Any], observer: Observer, chains: Chains
):
    chains.payloads[39]["withdrawals"], truth = lie, chains.payloads[39]["withdrawals"]
    with pytest.raises(ObservationError, match="slot 39 has other withdrawals than execution block 39"):
        observer.observe(SLOT, chains.header, chains.state)
    chains.payloads[39]["withdrawals"] = truth
    assert cl_and_withdrawn(observer, chains) == (96 * ETHER, ETHER)


def test_observe__execution_blocks_without_withdrawals__beacon_node_is_believed(observer: Observer, chains: Chains):
    chains.executed = {}
    assert cl_and_withdrawn(observer, chains) == (96 * ETHER, ETHER)
