"""Five members and a keeper for ten frames, while much goes wrong; reports stay right and on time.

Of the five one lies, and one goes away for good: all of the other three must agree on every report. The first has a
node that answers with errors at times, the second restarts in the middle of frames, the third a node that stops
following the chain. Blocks are missing at a reference slot, and late at another.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from web3.exceptions import ContractLogicError

from floe.deploy import record as records
from floe.devnet import Devnet
from floe.devnet.ports import free_port
from floe.oracle.observer import Observer
from floe.oracle.report import Oracle, Report, digest, report_of, signable
from tests.e2e.faults import FaultyNode
from tests.e2e.processes import Daemon
from tests.e2e.test_life import known, predeposit
from tests.e2e.world import DEPLOYER, ETHER, GWEI, KEEPER, MANAGER, OUTSIDER, STAKER, Validator, World

FRAMES = 10
FRAME_EPOCHS = 4
"""Finality takes two epochs and more, so there are nearly two left to agree in."""
MEMBERS = range(8, 13)
QUORUM = 3
ERRORS, RESTARTS, STUCK, GONE, LIAR = range(5)
"""Places in the committee."""
SECONDS_A_SLOT = 1.0
"""Of this test, while it waits for the daemons; the chain's are more."""


class Committee:
    """The members' processes, the keeper, and the nodes that fail."""

    def __init__(self, world: World, folder: Path, stack: ExitStack) -> None:
        self.world = world
        devnet = world.devnet
        self.first = stack.enter_context(FaultyNode(devnet.beacon_url))
        self.third = stack.enter_context(FaultyNode(devnet.beacon_url))
        records.write(world.record, folder / "deployment.json")
        nodes = {ERRORS: [self.first.url], STUCK: [self.third.url, devnet.beacon_url]}
        ports = [free_port() for _ in MEMBERS]
        self.endpoints = [f"http://127.0.0.1:{port}" for port in ports]
        common = {
            "deployment": "deployment.json",
            "execution": [devnet.execution_url],
            "max_head_age": None,
            "timeout": 10,
            "interval": 0.2,
        }
        self.members: list[Daemon] = []
        for place, account in enumerate(MEMBERS):
            settings = common | {
                "beacon": nodes.get(place, [devnet.beacon_url]),
                "listen": {"port": ports[place]},
                "peers": [url for other, url in enumerate(self.endpoints) if other != place],
                "turn": 1,
                "vote_after": 200,
            }
            self.members.append(Daemon(folder, "oracle", f"member{place}", devnet.account(account), settings))
        keeper = common | {"beacon": [devnet.beacon_url], "beacon_interval": 1, "interval": 0.3}
        self.keeper = Daemon(folder, "keeper", "keeper", devnet.account(KEEPER), keeper)
        stack.callback(self.stop)
        for one in [*self.members[:LIAR], self.keeper]:
            one.start()
        for one in [*self.members[:LIAR], self.keeper]:
            one.wait_until_up()

    def stop(self) -> None:
        """Stop all processes."""
        for one in [*self.members, self.keeper]:
            one.stop()

    def lie(self, honest: Report) -> None:
        """Sign a report with a gain that nobody made, tell everybody, and try to bring it alone."""
        world = self.world
        wrong = honest._replace(cl=honest.cl + 10 * ETHER)
        signed = world.devnet.account(MEMBERS[LIAR]).sign_message(signable(wrong, oracle_of(world)))
        message = {"report": wrong.as_json(), "signature": "0x" + signed.signature.hex().removeprefix("0x")}
        for url in self.endpoints[:GONE]:
            with suppress(requests.ConnectionError):  # one may be on its way down
                requests.post(f"{url}/v1/signatures", json=message, timeout=10)
        with pytest.raises(ContractLogicError, match="committee: no quorum"):
            world.oracle.functions.submit(tuple(wrong), 1 << LIAR, bytes(signed.signature)).call(
                {"from": world.address(OUTSIDER)}
            )


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet() as found:
        found.advance(epochs=1)
        yield found


def test_oracle__ten_frames_with_faults__reports_are_right_and_on_time(devnet: Devnet, tmp_path: Path):
    world = World(devnet, members=MEMBERS, quorum=QUORUM, frame_epochs=FRAME_EPOCHS)
    registry, pool = world.registry.functions, world.pool.functions
    world.call(DEPLOYER, registry.add_operator(world.address(MANAGER), world.address(MANAGER), 1, 100))
    world.call(STAKER, pool.deposit(500 * ETHER, world.address(STAKER)), value=500 * ETHER)
    frame = FRAME_EPOCHS * 8
    with ExitStack() as stack:
        committee = Committee(world, tmp_path, stack)
        first, second, third, gone, _ = committee.members
        signed = [world.new_deposit() for _ in range(3)]
        ours = [validator for validator, _ in signed]
        predeposit(world, MANAGER, 1, [data for _, data in signed])
        for validator in ours:
            devnet.advance_until(partial(known, world, validator))

        observer = Observer(world.client, world.web3, world.pool.address, world.registry.address, world.oracle.address)
        start = -(-devnet.slot // frame) * frame
        delays, gains = [], []
        for number in range(FRAMES):
            ref_slot = start + number * frame
            if number == 2:
                devnet.advance(ref_slot - devnet.slot - 1)
                devnet.miss(3)  # the reference slot and its neighbours have no block
            if number == 3:
                gone.stop(signal.SIGKILL)
            if number == 4:
                world.call(STAKER, world.queue.functions.request(30 * ETHER, world.address(STAKER)))
            if number == 6:
                devnet.advance(ref_slot - devnet.slot - 2)
                committee.first.hidden = {str(ref_slot)}  # the block of the reference slot comes late
            if number == 7:
                third.wait_until_up()
                committee.third.stuck = True
            if devnet.slot < ref_slot + 2:
                devnet.advance(ref_slot + 2 - devnet.slot)
            committee.first.hidden = set()
            committee.first.failing = number in (5, 8)
            devnet.advance_until_finalized(ref_slot)
            if number in (1, 4, 9):
                second.stop(signal.SIGKILL if number == 4 else signal.SIGTERM)
            honest = report_of(observer.observe(ref_slot))
            committee.lie(honest)
            if number in (1, 4, 9):
                time.sleep(1)  # the others have computed and signed
                second.start()
                second.wait_until_up()
            waited = settle(world, ref_slot, frame, committee)
            delays.append(waited)
            committee.third.stuck = False
            gains.append(check_books(world, honest, ours))

        # The keeper has proven the validators, topped them up, and paid who left.
        assert [world.state_of(validator)[0] for validator in ours] == [4, 4, 4]
        assert pool.outside().call() > 300 * ETHER
        assert world.queue.functions.filled().call() == 30 * ETHER
        assert sum(gains) > 0
        logs = [one.log(0) for one in committee.members]
        liar = world.address(MEMBERS[LIAR]).lower()
        for place in (ERRORS, RESTARTS, STUCK):
            assert f"{liar} signs another report" in logs[place].lower()
            assert "stopped by a bug" not in logs[place]
        assert 'fault="server_error"' in first.metrics()
        assert 'fault="lagging"' in third.metrics()
        assert "floe_oracle_refused_signatures_total 0.0" in second.metrics()
    world.client.close()


def settle(world: World, ref_slot: int, frame: int, committee: Committee) -> int:
    """Let slots pass until the report of a frame is on chain; return how many. It must be so within the frame."""
    last, begun = world.oracle.functions.last(), world.devnet.slot
    until = ref_slot + 2 * frame
    while last.call()[0] < ref_slot:
        patience = time.monotonic() + SECONDS_A_SLOT
        while last.call()[0] < ref_slot and time.monotonic() < patience:
            time.sleep(0.05)
        world.devnet.advance(1)
        assert world.devnet.slot < until, f"no report of slot {ref_slot} by {world.devnet.slot}\n" + "\n".join(
            f"--- {one.name}\n{one.log(40)}" for one in committee.members[:LIAR]
        )
    return world.devnet.slot - begun


def check_books(world: World, honest: Report, ours: list[Validator]) -> int:
    """Compare what was booked with a stranger's report, and that with the beacon state as JSON; return the gain."""
    applied = world.oracle.events.Applied().get_logs(from_block=0, argument_filters={"ref_slot": honest.ref_slot})
    assert [bytes(one["args"]["digest"]) for one in applied] == [digest(honest, oracle_of(world))]
    (reported,) = [
        one["args"]
        for one in world.pool.events.Reported().get_logs(from_block=applied[0]["blockNumber"])
        if one["transactionHash"] == applied[0]["transactionHash"]
    ]
    header = last_block(world, honest.ref_slot)
    state = f"/eth/v1/beacon/states/{header['header']['message']['state_root']}"
    counted = {"0x" + one.pubkey.hex() for one in ours if world.state_of(one)[5]}
    found = world.devnet.beacon(f"{state}/validators?id={','.join(sorted(counted))}")["data"] if counted else []
    waiting = world.devnet.beacon(f"{state}/pending_deposits")["data"]
    there = sum(int(one["balance"]) for one in found)
    there += sum(int(one["amount"]) for one in waiting if one["pubkey"] in counted)
    if honest.deposited_at_ref:
        assert honest.cl == there * GWEI
    flows = world.pool.functions.state().call(block_identifier=applied[0]["blockNumber"])[5]
    in_flight = flows % 2**96 - honest.deposited_at_ref
    backlog = world.oracle.functions.last().call(block_identifier=applied[0]["blockNumber"])[4]
    booked = reported["outside"] - reported["pending_loss"]
    unrecognised = honest.cl + in_flight - honest.pending_loss - booked
    assert 0 <= unrecognised <= backlog  # what is above the rise limit waits
    return int(reported["gain"])


def last_block(world: World, slot: int) -> Any:
    """Return the header of the last block at or before a slot, as the API's JSON."""
    while True:
        answer = requests.get(f"{world.devnet.beacon_url}/eth/v1/beacon/headers/{slot}", timeout=30)
        if answer.status_code == 200:
            return answer.json()["data"]
        assert answer.status_code == 404
        slot -= 1


def oracle_of(world: World) -> Oracle:
    """Return what signatures are bound to."""
    return Oracle(world.devnet.settings.chain_id, world.oracle.address)
