"""Proofs for the registry, made from the devnet: which block, which time, which branch."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from floe.beacon import proofs
from floe.beacon.addresses import BEACON_ROOTS
from floe.beacon.client import BeaconClient
from floe.beacon.containers import BeaconBlockHeader, header_root
from floe.beacon.ssz import ProofError, Witness, hash_pairs, verify_balance, verify_validators
from floe.devnet import Devnet

MISSED = 4
"""The slot without a block."""


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with Devnet(validators=300) as devnet:
        devnet.advance(MISSED - 1)
        devnet.miss(1)
        devnet.advance(2)
        yield devnet


@pytest.fixture(scope="module")
def client(devnet: Devnet) -> Iterator[BeaconClient]:
    client = BeaconClient(devnet.beacon_url, pause=0)
    yield client
    client.close()


@pytest.fixture(scope="module")
def execution(devnet: Devnet) -> Web3:
    return Web3(HTTPProvider(devnet.execution_url))


@pytest.fixture(scope="module")
def snapshot(client: BeaconClient, execution: Web3) -> proofs.Provable:
    return proofs.provable(client, execution)


def root_in_contract(execution: Web3, timestamp: int) -> bytes:
    answer = execution.eth.call(
        {"to": Web3.to_checksum_address(BEACON_ROOTS), "data": Web3.to_hex(timestamp.to_bytes(32, "big"))}
    )
    return bytes(answer)


def check(proof: proofs.Proof, snapshot: proofs.Provable, execution: Web3) -> None:
    """Check a proof as the registry does: root of EIP-4788, header, branch."""
    assert header_root(BeaconBlockHeader(**proof.header._asdict())) == root_in_contract(execution, proof.timestamp)
    witnesses = [Witness(index, tuple(chunks)) for index, chunks in proof.witnesses]
    verify_validators(witnesses, proof.branch, snapshot.gindices[0], proof.header.state_root)


def test_prove__newest_state__is_that_of_the_parent_over_a_missed_slot(devnet, client, execution, snapshot):
    proof = proofs.prove(client, [3, 4, 5], execution)
    assert devnet.slot == MISSED + 1
    assert proof.header.slot == MISSED - 1
    assert proof.timestamp == devnet.genesis_time + (MISSED + 1) * 12
    assert proof.indices == [3, 4, 5]
    check(proof, snapshot, execution)


@pytest.mark.parametrize(("slot", "child"), [(0, 1), (1, 2), (2, 3), (MISSED - 1, MISSED + 1)])
def test_provable__older_block__under_the_time_of_its_child(devnet, client, execution, slot, child):
    found = proofs.provable(client, execution, slot)
    assert found.timestamp == devnet.genesis_time + child * 12
    assert found.state.slot == slot
    check(found.prove([7]), found, execution)


@pytest.mark.parametrize("block", ["head", MISSED + 1])
def test_provable__newest_block__has_no_child_yet(client, execution, block):
    with pytest.raises(ProofError, match="the block of slot 5 has no child on this chain yet"):
        proofs.provable(client, execution, block)


def test_prove__by_public_key_or_its_root__the_same(client, snapshot):
    keys = [bytes(info.validator.pubkey) for info in client.validators([9, 2])]
    assert snapshot.prove([keys[1], keys[0], 9]) == snapshot.prove([2, 9])
    assert [snapshot.pubkey(2), snapshot.pubkey(9)] == keys
    roots = [hash_pairs(key + bytes(16)) for key in keys]
    assert snapshot.prove([roots[1], keys[0]]) == snapshot.prove([2, 9])
    assert snapshot.find([roots[1], b"\xab" * 32, keys[0]]) == {roots[1]: 9, keys[0]: 2}


@pytest.mark.parametrize("length", [48, 32, 20])
def test_prove__key_that_is_no_validator__named(snapshot, length):
    with pytest.raises(ProofError, match=f"no validator has the key {'ab' * length} in the state of slot 3 yet"):
        snapshot.prove([b"\xab" * length])


def test_prove__more_than_the_registry_takes__refused(snapshot, execution):
    check(snapshot.prove(range(100)), snapshot, execution)
    with pytest.raises(ProofError, match="101 validators, one proof takes 100"):
        snapshot.prove(range(101))


def test_prove__validators_far_apart__refused(snapshot):
    far = range(0, 300, 4)
    with pytest.raises(ProofError, match=r"the 75 validators lie too far apart .* at most 128 fit"):
        snapshot.prove(far)


@pytest.mark.parametrize("indices", [range(300), range(0, 300, 4), [299, 0], []], ids=["all", "apart", "two", "none"])
def test_batches__any_validators__each_once_in_proofs_that_fit(snapshot, execution, indices):
    made = snapshot.batches(list(indices))
    assert [index for proof in made for index in proof.indices] == sorted(indices)
    for proof in made:
        assert len(proof.witnesses) <= proofs.MOST_WITNESSES
        assert len(proof.branch) <= proofs.MOST_BRANCH_NODES
        check(proof, snapshot, execution)


def test_batches__as_many_as_fit__no_proof_could_take_the_next(snapshot):
    first, second, *_ = snapshot.batches(list(range(0, 300, 4)))
    with pytest.raises(ProofError, match="too far apart"):
        snapshot.prove([*first.indices, second.indices[0]])


def test_prove_withdrawn__any_validator__its_balance_in_the_same_state(client, execution, snapshot):
    withdrawn = proofs.prove_withdrawn(client, 7, execution)
    assert withdrawn[:4] == snapshot.prove([7]).alone
    assert verify_balance(
        7, withdrawn.balance, withdrawn.balance_branch, snapshot.gindices[1], withdrawn.header.state_root
    ) == int(snapshot.state.balances[7])


def test_provable__before_the_first_block__says_so():
    client: Any = SimpleNamespace(header=lambda _: SimpleNamespace(message=SimpleNamespace(slot=0)))
    with pytest.raises(ProofError, match="no block after genesis yet"):
        proofs.provable(client, Web3())


def test_provable__execution_node_of_another_chain__says_so(client):
    with Devnet(genesis_time=1_700_000_012) as other:
        elsewhere = Web3(HTTPProvider(other.execution_url))
        with pytest.raises(
            ProofError, match=r"the execution node has no beacon root for the time 1700000060 \(slot 5\)"
        ):
            proofs.provable(client, elsewhere)
        other.advance(4)
        with pytest.raises(ProofError, match="the execution node has another beacon root for the time 1700000060"):
            proofs.provable(client, elsewhere)


def test_provable__execution_node_that_is_gone__says_so(client):
    with pytest.raises(ProofError, match="the execution node did not answer"):
        proofs.provable(client, Web3(HTTPProvider("http://127.0.0.1:9")))
