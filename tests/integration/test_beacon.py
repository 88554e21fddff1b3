"""The Beacon API client and the proofs against the devnet, whose answers come from the executable specs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from floe.beacon.client import BeaconClient, BeaconError, MissingError
from floe.beacon.containers import PendingDeposit, Validator, fork_table, header_root
from floe.beacon.ssz import verify_balance, verify_validators
from floe.devnet import Devnet

STRANGERS_KEY = 900
"""Number of a key that no validator of the genesis has."""

CREDENTIALS = b"\2" + bytes(11) + b"\xf1" * 20


@pytest.fixture(scope="module", params=["electra", "fulu"])
def devnet(request: pytest.FixtureRequest) -> Iterator[Devnet]:
    with Devnet(fork=request.param) as devnet:
        devnet.deposit(STRANGERS_KEY, CREDENTIALS, 2 * 10**9)
        devnet.advance(3)
        devnet.miss(1)
        devnet.advance(2)
        yield devnet


@pytest.fixture
def client(devnet: Devnet) -> Iterator[BeaconClient]:
    client = BeaconClient(devnet.beacon_url, pause=0)
    yield client
    client.close()


def test_client__devnet__answers_agree_with_each_other(devnet: Devnet, client: BeaconClient) -> None:
    assert client.genesis().time == devnet.genesis_time
    assert client.preset.name == "minimal"
    assert [row.fork for row in fork_table(client.spec)] == [devnet.settings.fork]
    head = client.header()
    assert head.message.slot == devnet.slot == 5
    assert client.header(head.root) == client.header(5) == head
    assert client.state_root(head.message.state_root) == head.message.state_root
    assert client.header(head.message.parent_root).message.slot == 3
    assert client.fork().epoch == client.finality_checkpoints().finalized.epoch == 0
    block = client.block()
    assert block.fork == devnet.settings.fork
    assert block.message["state_root"] == "0x" + head.message.state_root.hex()


def test_client__missed_slot_of_the_devnet__missing(client: BeaconClient) -> None:
    for ask in (client.header, client.block):
        with pytest.raises(MissingError, match="status 404"):
            ask(4)


def test_client__false_exit_on_the_devnet__refused(client: BeaconClient) -> None:
    with pytest.raises(BeaconError, match="status 400"):
        client.post_voluntary_exit(0, 3, b"\1" * 96)


def test_client__deposit_on_the_devnet__is_pending(client: BeaconClient) -> None:
    (deposit,) = client.pending_deposits()
    assert (deposit.withdrawal_credentials, deposit.amount) == (CREDENTIALS, 2 * 10**9)
    assert client.validators([bytes(deposit.pubkey)]) == []
    pending = client.state("head").field("pending_deposits")
    assert [PendingDeposit.encode_bytes(each) for each in pending] == [deposit.encode_bytes()]


def test_proofs__state_of_the_devnet__lead_to_the_block_root(client: BeaconClient) -> None:
    head = client.header()
    row = fork_table(client.spec)[-1]
    state = client.state(head.message.state_root)
    root = bytes(head.message.state_root)
    assert header_root(head.message) == head.root
    assert (state.root, state.slot) == (root, head.message.slot)
    indices = [0, 3, 4, 15]
    witnesses, branch = state.prove_validators(indices)
    verify_validators(witnesses, branch, row.validators, root)
    infos = client.validators([15, state.validators[4]["pubkey"].tobytes(), 3, 0], root)
    assert [info.index for info in infos] == indices
    for info, witness in zip(infos, witnesses, strict=True):
        assert witness.root == Validator.hash_tree_root(info.validator)
        chunk, branch = state.prove_balance(info.index)
        assert verify_balance(info.index, chunk, branch, row.balances, root) == info.balance
