"""A real PostgreSQL server: the tests of `tests/unit/test_service_store.py` on it, and daemons that are killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import psycopg
import pytest

from floe.deploy import record as records
from floe.devnet import Devnet
from floe.service.store import DONE, SENT, Contest, Store
from tests.e2e.processes import Daemon
from tests.e2e.test_life import FAST_QUEUES, PROVEN, known, predeposit
from tests.e2e.world import DEPLOYER, KEEPER, MANAGER, World
from tests.postgres import server
from tests.unit.test_service_store import *  # noqa: F403

_numbers = count()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with server() as url:
        yield url


@pytest.fixture  # type: ignore[no-redef]
def store_url(postgres: str) -> Iterator[str]:
    name = f"store{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield postgres.rpartition("/")[0] + f"/{name}"


# --- daemons on it ---


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    # An epoch of 8 slots is 2 hours; a frame is two epochs.
    with Devnet(seconds_per_slot=900, config=FAST_QUEUES) as devnet:
        devnet.advance(epochs=1)
        yield devnet


def waited(condition: Callable[[], bool], daemon: Daemon, seconds: float = 60) -> None:
    """Wait until a daemon has done something. Raises AssertionError with its log."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, daemon.log(40)
        time.sleep(0.1)


def test_daemons__killed_at_work__go_on_where_they_were(postgres: str, devnet: Devnet, tmp_path: Path):
    world = World(devnet, frame_epochs=2)
    records.write(world.record, tmp_path / "deployment.json")
    settings = {
        "deployment": "deployment.json",
        "beacon": [devnet.beacon_url],
        "execution": [devnet.execution_url],
        "max_head_age": None,
        "interval": 0.2,
        "store": postgres,
    }
    keeper = Daemon(tmp_path, "keeper", "keeper", devnet.account(KEEPER), settings | {"beacon_interval": 1})
    member = Daemon(tmp_path, "oracle", "member", devnet.account(DEPLOYER), settings)
    try:
        with Store(postgres) as store:
            kill_the_keeper(world, keeper, store)
            kill_the_member(world, member, store)
    finally:
        for daemon in (keeper, member):
            daemon.stop()


def kill_the_keeper(world: World, keeper: Daemon, store: Store) -> None:
    """Kill it while its transaction waits for a block: the same one, and no second, is in the end."""
    devnet, chain_id, address = world.devnet, world.devnet.settings.chain_id, world.address(KEEPER)
    manager = world.address(MANAGER)
    world.call(DEPLOYER, world.registry.functions.add_operator(manager, manager, 1, 100))
    validator, data = world.new_deposit()
    predeposit(world, MANAGER, 1, [data])
    devnet.advance_until(partial(known, world, validator))
    devnet.advance(1)
    devnet.rpc.call("evm_setAutomine", False)

    keeper.start()
    waited(lambda: bool(store.actions(chain_id, address, states=(SENT,))), keeper)
    keeper.stop(signal.SIGKILL)
    [before] = store.actions(chain_id, address)
    keeper.start()
    keeper.wait_until_up()
    devnet.advance(1)
    waited(lambda: store.actions(chain_id, address)[0].state == DONE, keeper)
    devnet.rpc.call("evm_setAutomine", True)
    after = store.actions(chain_id, address)[0]
    assert (after.id, after.kind, after.transactions) == (before.id, "prove_credentials", before.transactions)
    assert world.state_of(validator)[0] == PROVEN
    keeper.stop()
    done = store.actions(chain_id, address, states=(DONE,))
    assert world.web3.eth.get_transaction_count(address) == len(done)


def kill_the_member(world: World, member: Daemon, store: Store) -> None:
    """Kill it after a report: it does not sign that frame again, and reports the next one."""
    devnet, slots = world.devnet, 16
    contest, address = Contest(devnet.settings.chain_id, world.oracle.address, 0), world.address(DEPLOYER)

    def reported() -> int:
        return int(world.oracle.functions.last().call()[0])

    def next_report() -> int:
        """Let time pass until a newer frame is final, and the member has reported it."""
        before = reported()
        finalized = (max(before, devnet.slot - 2 * slots) // slots + 1) * slots
        devnet.advance_until_finalized(finalized)
        waited(lambda: reported() > before, member)
        return reported()

    member.start()
    member.wait_until_up()
    first = next_report()
    member.stop(signal.SIGKILL)
    bound = store.bound_report(contest._replace(frame=first), address)
    assert bound is not None
    assert bound.signature is not None
    member.start()
    member.wait_until_up()
    second = next_report()
    assert second > first
    assert store.bound_report(contest._replace(frame=first), address) == bound
    assert store.bound_report(contest._replace(frame=second), address) is not None
