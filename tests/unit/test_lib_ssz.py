"""contracts/lib/ssz.vy: roots from leaves and branches, against floe.beacon.ssz, by hand, and against recorded proofs.

And the one place where the registry leans on it for what it knows of the beacon chain: headers, EIP-4788 and the table
of forks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pyrevm import AccountInfo
from remerkleable.basic import uint64

from floe.beacon.containers import MAINNET, gindices
from floe.beacon.ssz import ZERO_NODES, Tree, Witness, hash_pairs, key_of, root_of
from floe.devnet.system_contracts import BEACON_ROOTS
from floe.model.beacon import BALANCES_FIELD, VALIDATORS_FIELD, Beacon, BeaconState, Header, Proof
from tests.beacon import RING, SLOT_SECONDS, Fork, Validators, alone, deploy_registry, pubkey_of, set_block_root
from tests.evm import Contract, Evm, RevertError, reverts
from tests.protocol import Protocol

RECORDED = (
    "withdrawal_credential_proof_302913.json",
    "withdrawal_credential_proof_302913_exited.json",
    "balanceUpdateProof_notOverCommitted_302913.json",
    "balanceUpdateProof_updated_to_0ETH_302913.json",
)
WITH_BALANCE = RECORDED[:2]
HEADERS = ("deneb_holesky_beacon_headers_2227472.json", "electra_mekong_beacon_headers_654719.json")

DENEB = Fork(0, *gindices("deneb", MAINNET))
ELECTRA = Fork(0, *gindices("electra", MAINNET))
FAR_INDEX = 2**40
"""Beyond the list of validators: refused after the header was found right."""


@pytest.fixture(scope="module")
def mock() -> Contract:
    return Evm().deploy("MockSsz")


def node(number: int) -> bytes:
    """Return some node of a tree."""
    return sha256(b"node %d" % number).digest()


@cache
def tree(depth: int, leaves: int) -> Tree:
    return Tree(b"".join(node(number) for number in range(leaves)), depth, leaves)


def flipped(data: bytes, position: int) -> bytes:
    """Return `data` with one bit changed."""
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


# --- known answers ---


def test_container_root__known_chunks__as_by_hand(mock: Contract):
    chunks = [node(number) for number in range(8)]
    pairs = [sha256(chunks[i] + chunks[i + 1]).digest() for i in (0, 2, 4, 6)]
    halves = [sha256(pairs[0] + pairs[1]).digest(), sha256(pairs[2] + pairs[3]).digest()]
    assert mock.container_root(chunks) == sha256(halves[0] + halves[1]).digest()
    assert mock.container_root([bytes(32)] * 8) == ZERO_NODES[3]
    # The root of three levels of zeros, as all clients know it.
    assert ZERO_NODES[3].hex() == "c78009fdf07fc56a11f122370658a353aaa542ed63e44c4bc15ff4cd105ab33c"


def test_root__two_levels__as_by_hand(mock: Contract):
    a, b, c, d = (node(number) for number in range(4))
    left, right = sha256(a + b).digest(), sha256(c + d).digest()
    top = sha256(left + right).digest()
    assert mock.root([a], 4, [0], [b, right]) == top
    assert mock.root([d], 4, [3], [c, left]) == top
    assert mock.root([d], 7, [0], [c, left]) == top
    assert mock.root([a, b], 4, [0, 1], [right]) == top
    assert mock.root([b, c], 4, [1, 2], [a, d]) == top
    assert mock.root([a, d], 4, [0, 3], [b, c]) == top
    assert mock.root([a, c, d], 4, [0, 2, 3], [b]) == top
    assert mock.root([a, b, c, d], 4, [0, 1, 2, 3], []) == top
    assert mock.root([left, right], 2, [0, 1], []) == top
    assert mock.root([top], 1, [0], []) == top


@pytest.mark.parametrize("number", [0, 1, 255, 256, 2**32, 32 * 10**9, 0x0102030405060708, 2**63, 2**64 - 1])
def test_bad_083_chunks__numbers__are_little_endian(mock: Contract, number: int):
    assert mock.to_chunk(number) == bytes(uint64(number).hash_tree_root()) == number.to_bytes(32, "little")
    for place in range(4):
        others = [(number + k + 1) % 2**64 for k in range(4)]
        packed = b"".join((number if k == place else others[k]).to_bytes(8, "little") for k in range(4))
        assert mock.from_chunk(packed, place) == number


def test_bad_083_chunks__four_balances__are_each_at_its_place(mock: Contract):
    chunk = bytes.fromhex("00000000000000ff010000000000000000ca9a3b000000000040597307000000")
    assert [mock.from_chunk(chunk, place) for place in range(4)] == [0xFF << 56, 1, 10**9, 32 * 10**9]


# --- against floe.beacon.ssz ---


@settings(max_examples=150)
@given(
    depth=st.integers(0, 12),
    data=st.data(),
    count=st.integers(1, 100),
    seed=st.integers(0, 2**32),
)
def test_root__any_indices__is_the_trees(mock: Contract, depth: int, data: Any, count: int, seed: int):
    leaves = data.draw(st.integers(1, min(2**depth, 300)))
    found = Tree(b"".join(node(number) for number in range(leaves)), depth, leaves)
    indices = sorted(Random(seed).sample(range(leaves), min(count, leaves)))
    branch = found.branch(indices)
    if len(branch) > 128:
        with reverts():
            mock.root([found.node(0, i) for i in indices], found.gindex, indices, branch)
        return
    assert mock.root([found.node(0, i) for i in indices], found.gindex, indices, branch) == found.root


@settings(max_examples=60)
@given(indices=st.sets(st.integers(0, 2**40 - 1), min_size=1, max_size=3))
@example(indices={0})
@example(indices={2**40 - 1})
@example(indices={0, 2**40 - 1})
@example(indices={2**39 - 1, 2**39})
def test_root__places_all_over_the_list__as_python_finds_it(mock: Contract, indices: set[int]):
    """With a made-up branch: whatever the tree is, both must come to the same root."""
    places, first = sorted(indices), ELECTRA.validators_gindex
    leaves = [node(place) for place in places]
    branch = [node(number) for number in range(siblings_of([first + place for place in places]))]
    assume(len(branch) < 128)
    assert mock.root(leaves, first, places, branch) == root_of([first + place for place in places], leaves, branch)
    for wrong in (branch[:-1], [*branch, node(0)]):
        with reverts("proof: wrong length"):
            mock.root(leaves, first, places, wrong)


def siblings_of(gindices: list[int]) -> int:
    """Count the nodes beside the paths from these places to the root."""
    level, count = set(gindices), 0
    while level != {1}:
        count += sum(gindex ^ 1 not in level for gindex in level)
        level = {gindex >> 1 for gindex in level}
    return count


# --- what must fail ---


def fails(mock: Contract, expected: bytes, *arguments: Any) -> bool:
    """Say whether the contract refuses, or comes to another root."""
    try:
        return bool(mock.root(*arguments) != expected)
    except RevertError as error:
        assert error.reason == "proof: wrong length", error
        return True


def test_bad_082_root__every_byte_of_a_branch__matters(mock: Contract):
    found = tree(40, 5)
    branch = found.branch([3])
    for level, sibling in enumerate(branch):
        for position in range(32):
            wrong = [*branch[:level], flipped(sibling, position), *branch[level + 1 :]]
            assert mock.root([node(3)], found.gindex, [3], wrong) != found.root
    for position in range(32):
        assert mock.root([flipped(node(3), position)], found.gindex, [3], branch) != found.root


@pytest.mark.parametrize("indices", [[0], [4], [1, 2], [0, 1, 2, 3, 4], [0, 4]])
def test_bad_081_082_root__mutated__fails(mock: Contract, indices: list[int]):
    """Branch shorter and longer at either end or empty, indices of neighbours, other places, leaves exchanged."""
    found = tree(40, 5)
    first, leaves, branch = found.gindex, [node(i) for i in indices], found.branch(indices)
    assert mock.root(leaves, first, indices, branch) == found.root
    for wrong in (branch[1:], branch[:-1], [*branch, bytes(32)], [bytes(32), *branch], [], [*branch, *branch]):
        with reverts("proof: wrong length"):
            mock.root(leaves, first, indices, wrong)
    for k in range(len(indices)):
        for step in (-1, 1, 2**40):
            moved = [index + step * (i == k) for i, index in enumerate(indices)]
            if moved[k] >= 0:
                assert fails(mock, found.root, leaves, first, moved, branch)
    for other in (first - 1, first + 1, first // 2, first * 2, first + 2**41, first - 2**40, 1, 2**96 - 1, 2**255):
        assert fails(mock, found.root, leaves, other, indices, branch), other
    if len(indices) > 1:
        assert fails(mock, found.root, leaves[::-1], first, indices, branch)
        assert fails(mock, found.root, leaves[:-1], first, indices[:-1], branch)


def test_bad_082_root__inner_node_for_a_leaf__fails(mock: Contract):
    """Second preimages: a node above the leaves is no leaf, and two leaves joined are none either."""
    found = tree(40, 8)
    branch = found.branch([2])
    inner = found.node(1, 1)
    assert mock.root([inner], found.gindex // 2, [1], branch[1:]) == found.root, "it is a node of the tree"
    assert fails(mock, found.root, [inner], found.gindex, [1], branch[1:])
    assert fails(mock, found.root, [inner], found.gindex, [2], branch[1:])
    assert fails(mock, found.root, [inner], found.gindex, [1], branch)
    # And a leaf's halves as children of it.
    assert fails(mock, found.root, [node(2)], found.gindex, [4], [node(2), *branch])


def test_bad_082_root__no_leaves__reverts(mock: Contract):
    for first, branch in ((1, []), (4, [node(1)])):
        with reverts():
            mock.root([], first, [], branch)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 5, 50, 128])
@pytest.mark.parametrize(
    "indices", [[0, 0], [1, 0], [0, 2, 1], [0, 1, 1], [2, 3, 3, 4], [7, 0], [3, 2, 1, 0], [5] * 100]
)
def test_bad_082_root__not_in_rising_order__never_meet(mock: Contract, indices: list[int], length: int):
    """Whatever the branch: what does not rise on one level does not rise above it."""
    with reverts("proof: wrong length"):
        mock.root([node(i) for i in indices], 8, indices, [node(9)] * length)


@settings(max_examples=150)
@given(
    indices=st.lists(st.integers(0, 40), min_size=2, max_size=8).filter(lambda found: found != sorted(set(found))),
    first=st.sampled_from([64, 64 + 11 << 5, 1, 2**40]),
    length=st.integers(0, 128),
)
def test_bad_082_root__any_order_but_the_rising_one__reverts(
    mock: Contract, indices: list[int], first: int, length: int
):
    with reverts("proof: wrong length"):
        mock.root([node(i) for i in indices], first, indices, [node(k) for k in range(length)])


@pytest.mark.parametrize("gindex", [1, 2, 3, 4, 7, 11, 2**41 - 1, 75 << 41, (75 << 41) + 5])
def test_climb__one_leaf__is_what_root_says(mock: Contract, gindex: int):
    branch = [node(k) for k in range(gindex.bit_length() - 1)]
    expected = mock.root([node(200)], gindex, [0], branch)
    assert mock.climb(node(200), gindex, branch) == expected == root_of([gindex], [node(200)], branch)
    for wrong in ([*branch, node(0)], branch[1:], [node(0), *branch]):
        if wrong != branch:
            with reverts("proof: wrong length"):
                mock.climb(node(200), gindex, wrong)
    for level, sibling in enumerate(branch):
        changed = [*branch[:level], flipped(sibling, level % 32), *branch[level + 1 :]]
        assert mock.climb(node(200), gindex, changed) != expected
    with reverts("proof: wrong length"):
        mock.climb(node(200), 0, branch)


def test_bad_082_root__nodes_that_never_meet__reverts(mock: Contract):
    """At places that are no places, below 1, or deeper than any tree."""
    with reverts("proof: wrong length"):
        mock.root([node(0), node(1)], 0, [0, 1], [node(2)])
    with reverts("proof: wrong length"):
        mock.root([node(0)], 0, [0], [])
    with reverts("proof: wrong length"):
        mock.root([node(0), node(1)], 2**200, [0, 2**150], [node(k) for k in range(128)])


def test_root__more_nodes_or_siblings_than_fit__revert(mock: Contract):
    found = tree(8, 101)
    indices = list(range(101))
    with reverts():
        mock.root([node(i) for i in indices], found.gindex, indices, found.branch(indices))
    with reverts():
        mock.root([node(0)], 1 << 129, [0], [node(1)] * 129)


# --- recorded proofs: Deneb, validator 302,913 ---


class Recorded:
    """A recorded proof. Some have edited balances; their branches are consistent."""

    def __init__(self, file: Path) -> None:
        fields = json.loads(file.read_text())
        self.index = int(fields["validatorIndex"])
        self.state_root = bytes.fromhex(fields["beaconStateRoot"][2:])
        self.block_root = bytes.fromhex(fields["latestBlockHeaderRoot"][2:])
        self.chunks = self.nodes(fields["ValidatorFields"])
        self.branch = self.nodes(fields["WithdrawalCredentialProof"])
        self.header_branch = self.nodes(fields["StateRootAgainstLatestBlockHeaderProof"])
        self.balance = bytes.fromhex(fields.get("balanceRoot", "0x")[2:])
        self.balance_branch = self.nodes(fields.get("ValidatorBalanceProof", []))

    @staticmethod
    def nodes(texts: list[str]) -> list[bytes]:
        """Read hexadecimal nodes."""
        return [bytes.fromhex(text[2:]) for text in texts]


@pytest.fixture(params=RECORDED)
def recorded(request: pytest.FixtureRequest, data_folder: Path) -> Recorded:
    return Recorded(data_folder / "beacon" / request.param)


@pytest.fixture(params=WITH_BALANCE)
def recorded_balance(request: pytest.FixtureRequest, data_folder: Path) -> Recorded:
    return Recorded(data_folder / "beacon" / request.param)


def mutations(branch: list[bytes]) -> Iterator[list[bytes]]:
    """Yield branches with one byte changed in each node, and one node shorter and longer at both ends."""
    for level, sibling in enumerate(branch):
        yield [*branch[:level], flipped(sibling, level % 32), *branch[level + 1 :]]
    yield from (branch[1:], branch[:-1], [*branch, branch[-1]], [branch[0], *branch], [])


def test_bad_083_recorded__validator__leads_to_its_state_root(mock: Contract, recorded: Recorded):
    leaf = mock.container_root(recorded.chunks)
    assert mock.root([leaf], DENEB.validators_gindex, [recorded.index], recorded.branch) == recorded.state_root
    # The state root stands in the header as its fourth field.
    assert mock.root([recorded.state_root], 11, [0], recorded.header_branch) == recorded.block_root


def test_recorded__validator_mutated__fails(mock: Contract, recorded: Recorded):
    leaf, first, index = mock.container_root(recorded.chunks), DENEB.validators_gindex, recorded.index
    for branch in mutations(recorded.branch):
        assert fails(mock, recorded.state_root, [leaf], first, [index], branch)
    for wrong in (index - 1, index + 1, index + 2**40):
        assert fails(mock, recorded.state_root, [leaf], first, [wrong], recorded.branch)
    # Fields before and after, the balances, and the place that it has in the forks after.
    for other in ((32 + 10) << 41, (32 + 12) << 41, DENEB.balances_gindex, ELECTRA.validators_gindex):
        assert fails(mock, recorded.state_root, [leaf], other, [index], recorded.branch)
    for chunk in range(8):
        changed = [flipped(c, k % 32) if k == chunk else c for k, c in enumerate(recorded.chunks)]
        assert fails(mock, recorded.state_root, [mock.container_root(changed)], first, [index], recorded.branch)


def test_bad_083_recorded__balance__leads_to_its_state_root(mock: Contract, recorded_balance: Recorded):
    r = recorded_balance
    assert mock.root([r.balance], DENEB.balances_gindex, [r.index // 4], r.balance_branch) == r.state_root
    balance = mock.from_chunk(r.balance, r.index % 4)
    assert balance == int.from_bytes(r.balance[r.index % 4 * 8 :][:8], "little")


def test_recorded__balance_mutated__fails(mock: Contract, recorded_balance: Recorded):
    r = recorded_balance
    first, index = DENEB.balances_gindex, r.index // 4
    for branch in mutations(r.balance_branch):
        assert fails(mock, r.state_root, [r.balance], first, [index], branch)
    for wrong in (index - 1, index + 1, r.index):
        assert fails(mock, r.state_root, [r.balance], first, [wrong], r.balance_branch)
    for other in (DENEB.validators_gindex, (32 + 11) << 39, (32 + 13) << 39, ELECTRA.balances_gindex):
        assert fails(mock, r.state_root, [r.balance], other, [index], r.balance_branch)
    assert fails(mock, r.state_root, [flipped(r.balance, 9)], first, [index], r.balance_branch)


def registry_with(validators: Validators, *forks: Fork) -> Contract:
    """Deploy another registry, which knows these forks."""
    return deploy_registry(validators.protocol, validators.beacon, forks=forks)


def test_recorded__through_the_registry__verifies_and_every_mutation_fails(validators: Validators, recorded: Recorded):
    """Below a header of ours; the registry does not know the validator, which is the last thing it finds out."""
    registry = registry_with(validators, DENEB)
    header = Header(9_000_000, 7, node(1), recorded.state_root, node(2))
    set_block_root(validators.evm, header.root)
    witness = (recorded.index, tuple(recorded.chunks))
    right = Proof(validators.evm.now, header, [witness], recorded.branch)
    with reverts("validator: not in this state"):
        registry.prove(right)
    wrong = [right._replace(branch=branch) for branch in mutations(recorded.branch)]
    wrong += [right._replace(witnesses=[(recorded.index + step, witness[1])]) for step in (-1, 1)]
    for proof in wrong:
        with pytest.raises(RevertError, match=r"proof: wrong (root|length)"):
            registry.prove(proof)
    with pytest.raises(RevertError, match="proof: wrong length"):
        registry_with(validators, ELECTRA).prove(right)


@pytest.mark.parametrize("name", HEADERS)
def test_recorded__header__is_taken_by_the_registry_and_no_other(validators: Validators, data_folder: Path, name: str):
    fields = json.loads((data_folder / "beacon" / name).read_text())
    numbers = (int(fields["slot"]), int(fields["proposer_index"]))
    roots = (bytes.fromhex(fields[key][2:]) for key in ("parent_root", "state_root", "body_root"))
    header = Header(*numbers, *roots)
    set_block_root(validators.evm, header.root)
    # The header is right: something behind it is found wrong.
    proof = Proof(validators.evm.now, header, [(FAR_INDEX, (bytes(32),) * 8)], [])
    with reverts("proof: index too high"):
        validators.registry.prove(proof)
    changed = [header._replace(slot=header.slot ^ 1), header._replace(proposer_index=header.proposer_index ^ 1)]
    for root in ("parent_root", "state_root", "body_root"):
        changed.append(Header(**header._asdict() | {root: flipped(getattr(header, root), 5)}))
    for wrong in changed:
        with reverts("proof: wrong root"):
            validators.registry.prove(proof._replace(header=wrong))


# --- the table of forks ---


class DenebState(BeaconState):
    """A state with the 28 fields of Deneb."""

    @cached_property
    def fields_tree(self) -> Tree:
        """Tree of the state's fields."""
        fields = [node(number) for number in range(28)]
        fields[VALIDATORS_FIELD], fields[BALANCES_FIELD] = self.validators_tree.root, self.balances_tree.root
        return Tree(b"".join(fields), 5)


class Deneb(Beacon):
    """A beacon chain whose states are Deneb's."""

    def state(self) -> BeaconState:
        """Return the state as it is now."""
        return DenebState(**vars(super().state()))


@pytest.mark.parametrize("before", [1, 0, -1])
def test_bad_080_fork__slots_around_the_pivot__take_the_indices_of_their_fork_only(validators: Validators, before: int):
    (index,) = validators.predeposit()
    timestamp = validators.publish()
    slot = validators.beacon.slot
    pivot = slot + before
    registry = registry_with(validators, DENEB, ELECTRA._replace(first_slot=pivot))
    states = {False: Deneb(**vars(validators.beacon)), True: validators.beacon}
    for is_later, beacon in states.items():
        set_block_root(validators.evm, beacon.header().root)
        proof = beacon.prove([index], timestamp)
        if is_later == (slot >= pivot):
            with reverts("validator: not in this state"):
                registry.prove(proof)
        else:
            with reverts("proof: wrong length"):
                registry.prove(proof)
            # Nor with a branch of the other length.
            longer, shorter = [*proof.branch, bytes(32)], proof.branch[:-1]
            with pytest.raises(RevertError, match="proof: wrong root"):
                registry.prove(proof._replace(branch=shorter if len(proof.branch) > 46 else longer))


def test_bad_080_fork__slot_before_the_first__reverts(validators: Validators):
    (index,) = validators.predeposit()
    validators.publish()
    slot = validators.beacon.slot
    late = registry_with(validators, ELECTRA._replace(first_slot=slot + 1))
    proof = validators.beacon.prove([index], validators.evm.now)
    with reverts("fork: none for this slot"):
        late.prove(proof)
    with reverts("fork: none for this slot"):
        late.prove_one(*alone(proof))
    with reverts("fork: none for this slot"):
        late.prove_withdrawn(*alone(proof), *validators.beacon.prove_balance(index))
    with reverts("fork: none for this slot"):
        registry_with(validators).prove(proof)


def test_bad_080_fork__added_later__holds_from_its_slot_on(validators: Validators):
    """An upgrade moves the fields; the table grows by a row in time, and both sides of it verify."""
    validators.predeposit(2)
    admin, registry = validators.protocol.admin, validators.registry
    early, late = validators.pubkeys
    validators.publish()
    registry.add_fork(Fork(validators.beacon.slot + 1, *DENEB[1:]), sender=admin)
    registry.prove(validators.beacon.prove([early], validators.evm.now))
    validators.beacon = Deneb(**vars(validators.beacon))
    validators.prove(late)
    assert [v.state for v in map(validators.record, (early, late))] == [2, 2]


# --- EIP-4788 ---


def test_bad_079_block_root__known_timestamp__is_the_parents(validators: Validators):
    (index,) = validators.predeposit()
    proof = validators.proof(index)
    validators.publish(RING - 1)
    validators.registry.prove(proof)
    assert validators.state(index) == 2


@pytest.mark.parametrize("wrong", [-12, 12, -1, 1])
def test_bad_079_block_root__unknown_timestamp__reverts(validators: Validators, wrong: int):
    (index,) = validators.predeposit()
    proof = validators.proof(index)
    with reverts("block root: not known"):
        validators.registry.prove(proof._replace(timestamp=proof.timestamp + wrong))


@pytest.mark.parametrize("timestamp", [0, 2**64, 2**256 - 1])
def test_bad_079_block_root__timestamp_zero_or_huge__reverts(validators: Validators, timestamp: int):
    (index,) = validators.predeposit()
    proof = validators.proof(index)._replace(timestamp=timestamp)
    with reverts("block root: not known"):
        validators.registry.prove(proof)
    with reverts("block root: not known"):
        validators.registry.prove_one(*alone(proof))
    with reverts("block root: not known"):
        validators.registry.prove_withdrawn(*alone(proof), *validators.beacon.prove_balance(index))


def test_bad_079_block_root__overwritten_after_8191_slots__reverts(validators: Validators):
    (index,) = validators.predeposit()
    proof = validators.proof(index)
    validators.publish(RING)
    assert validators.evm.now == proof.timestamp + RING * SLOT_SECONDS
    with reverts("block root: not known"):
        validators.registry.prove(proof)


def test_bad_079_block_root__missed_slot__is_not_known_and_the_next_block_proves_the_same(validators: Validators):
    """Nothing is stored for the time of a slot without a block; the root of the last block stands at the next."""
    (index,) = validators.predeposit()
    validators.publish()
    header = validators.beacon.header()
    missed, shown = validators.evm.now + SLOT_SECONDS, validators.evm.now + 2 * SLOT_SECONDS
    validators.evm.travel(2 * SLOT_SECONDS)
    set_block_root(validators.evm, header.root)
    with reverts("block root: not known"):
        validators.registry.prove(validators.beacon.prove([index], missed))
    validators.registry.prove(validators.beacon.prove([index], shown))
    assert validators.state(index) == 2


def test_bad_079_block_root__no_code_at_the_address__reverts():
    """A chain without EIP-4788: a call there succeeds and answers nothing."""
    evm = Evm()
    protocol = Protocol(evm)
    beacon = Beacon(evm.now - 1_000 * SLOT_SECONDS, slot=999)
    registry = deploy_registry(protocol, beacon)
    assert not evm.code(BEACON_ROOTS)
    beacon.add(key_of(pubkey_of(1)), registry.credentials(), 10**9)
    with reverts("block root: not known"):
        registry.prove(beacon.prove([0], evm.now))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_bad_079_block_root__input_of_another_length__the_system_contract_reverts(validators: Validators, length: int):
    """The registry never sends any; the real contract would not answer."""
    timestamp = validators.publish()
    contract = Contract(validators.evm, "EIP-4788", BEACON_ROOTS)
    with reverts():
        validators.evm.call(contract, "", timestamp.to_bytes(64)[64 - length :])
    assert len(validators.evm.call(contract, "", timestamp.to_bytes(32))) == 32


@pytest.mark.parametrize("answer", ["60205ff3", "601f5ff3", "60215ff3", "5ffd", "00"])
def test_bad_079_block_root__strange_answers__revert(answer: str):
    """32 zero bytes (the root of nothing), 31, 33, a revert, nothing: none of them proves anything."""
    evm = Evm()
    evm.revm.insert_account_info(BEACON_ROOTS, AccountInfo(code=bytes.fromhex(answer), nonce=1))
    beacon = Beacon(evm.now - 1_000 * SLOT_SECONDS, slot=999)
    registry = deploy_registry(Protocol(evm), beacon)
    beacon.add(key_of(pubkey_of(1)), registry.credentials(), 10**9)
    with pytest.raises(RevertError, match=r"proof: wrong root|block root: not known"):
        registry.prove(beacon.prove([0], evm.now))


def test_bad_081_witness__index_at_the_limit_of_the_list__reverts(validators: Validators):
    """Index + 2**40 would lead out of the list, to the balances."""
    (index,) = validators.predeposit()
    proof = validators.proof(index)
    for wrong in (2**40, 2**40 + index, 2**255, 2**256 - 1):
        far = proof._replace(witnesses=[(wrong, proof.witnesses[0][1])])
        with reverts("proof: index too high"):
            validators.registry.prove(far)
        with reverts("proof: index too high"):
            validators.registry.prove_one(*alone(far))
        with reverts("proof: index too high"):
            validators.registry.prove_withdrawn(*alone(far), *validators.beacon.prove_balance(index))
    near = proof._replace(witnesses=[(2**40 - 1, proof.witnesses[0][1])])
    with reverts("proof: wrong root"):
        validators.registry.prove(near)


def test_witness__root_of_the_container__is_that_of_python(mock: Contract):
    chunks = tuple(node(number) for number in range(8))
    assert (
        mock.container_root(list(chunks))
        == Witness(3, chunks).root
        == hash_pairs(hash_pairs(hash_pairs(b"".join(chunks))))
    )
