"""The protocol for every test, warm and as it was: what a test does to it is undone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.beacon import Validators, place_system_contracts
from tests.calls import Stage
from tests.evm import ETHER, Contract, Evm
from tests.oracle import Oracle
from tests.protocol import PARAMETERS, Protocol

# The same examples on every machine; each example undoes itself.
settings.register_profile(
    "unit",
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ask at the end of this folder whether every revert reason was provoked."""
    items.sort(key=lambda item: item.path.name == "test_reasons.py")


@pytest.fixture(scope="session")
def warm_protocol() -> Protocol:
    evm = Evm()
    place_system_contracts(evm)
    protocol = Protocol(evm)
    protocol.warm()
    return protocol


@pytest.fixture
def protocol(warm_protocol: Protocol) -> Iterator[Protocol]:
    """Return a protocol with holders, validators, streaming rewards and a rate of about 1.0731."""
    with warm_protocol.evm.undone():
        yield warm_protocol


@pytest.fixture(scope="session")
def warm_stage() -> Stage:
    evm = Evm()
    place_system_contracts(evm)
    protocol = Protocol(evm)
    protocol.warm()
    return Stage(protocol)


@pytest.fixture
def stage(warm_stage: Stage) -> Iterator[Stage]:
    """Return a protocol in which one wallet can do everything."""
    with warm_stage.protocol.evm.undone():
        yield warm_stage


@pytest.fixture
def fresh() -> Protocol:
    """Return a protocol that has just been deployed: rate 1, the seed and nothing else."""
    return Protocol(Evm())


@pytest.fixture
def evm(protocol: Protocol) -> Evm:
    return protocol.evm


@pytest.fixture
def pool(protocol: Protocol) -> Contract:
    return protocol.pool


@pytest.fixture
def queue(protocol: Protocol) -> Contract:
    return protocol.queue


@pytest.fixture
def token(protocol: Protocol) -> Contract:
    return protocol.token


@pytest.fixture(scope="session")
def warm_oracle(warm_protocol: Protocol) -> Oracle:
    return Oracle(warm_protocol)


@pytest.fixture
def oracle(warm_oracle: Oracle, protocol: Protocol) -> Oracle:
    """Return an oracle whose committee, 3 of 5, reports to the protocol once a day."""
    assert warm_oracle.protocol is protocol
    return warm_oracle


@pytest.fixture
def worthless() -> Protocol:
    """Return a protocol whose assets, the seed included, were all staked and lost: shares without value."""
    protocol = Protocol(Evm(), parameters=PARAMETERS._replace(target_bps=0, allowance_bps=0))
    protocol.stake(100 * ETHER)
    protocol.to_validators()
    assert protocol.pool.buffer() == 0
    protocol.rate_falls_to(0, 1)
    return protocol


@pytest.fixture(scope="session")
def warm_validators() -> Validators:
    """Return a registry beside a warm protocol with 10,000 ETH more, the real system contracts and a beacon chain."""
    evm = Evm()
    place_system_contracts(evm)
    protocol = Protocol(evm)
    protocol.warm()
    protocol.stake(10_000 * ETHER)
    return Validators(protocol)


@pytest.fixture
def validators(warm_validators: Validators) -> Iterator[Validators]:
    """Return that registry with two operators, without validators; what a test does to it is undone."""
    with warm_validators.evm.undone():
        yield warm_validators.copy()
