"""The Merkle-sum tree of balances and its file; the tree against one that is built by its definition, node by node."""

from __future__ import annotations

from hashlib import sha256
from itertools import accumulate
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe.oracle import balances
from floe.oracle.balances import MOST, ZERO, BalanceProof, BalancesError

ETHER = 10**9
"""Gwei."""


def columns(rows: dict[int, int]) -> tuple[Any, Any]:
    """Return indices and balances as arrays."""
    return np.array(list(rows), np.uint64), np.array(list(rows.values()), np.uint64)


def tree(rows: dict[int, int]) -> list[list[bytes]]:
    """Build the tree by its definition; the root is the one node of the last level."""
    level = [
        sha256(index.to_bytes(32, "big") + gwei.to_bytes(32, "big")).digest()[:24] + gwei.to_bytes(8, "big")
        for index, gwei in rows.items()
    ]
    while (len(level) & (len(level) - 1)) or not level:
        level.append(bytes(32))
    levels = [level]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [
            sha256(left + right).digest()[:24]
            + (int.from_bytes(left[24:], "big") + int.from_bytes(right[24:], "big")).to_bytes(8, "big")
            for left, right in pairs
        ]
        levels.append(level)
    return levels


@st.composite
def books(draw: st.DrawFn, least: int = 0) -> dict[int, int]:
    """Balances by index, few or many, the sum at most 2**64 - 1."""
    indices = sorted(draw(st.sets(st.integers(0, 2**40 - 1), min_size=least, max_size=40)))
    most = MOST // max(len(indices), 1)
    gwei = st.one_of(st.integers(0, 3), st.integers(0, 2_048 * ETHER), st.integers(0, most))
    return {index: min(draw(gwei), most) for index in indices}


# --- root ---


def test_root__one_validator__is_its_leaf_by_hand() -> None:
    leaf = sha256(bytes(31) + b"\x07" + bytes(24) + bytes.fromhex("0000000773594000")).digest()[:24]
    assert balances.root(*columns({7: 32 * ETHER})) == leaf + bytes.fromhex("0000000773594000")


def test_root__nobody__is_zero() -> None:
    assert balances.root(*columns({})) == ZERO == bytes(32)


def test_root__three_validators__fourth_leaf_is_zero() -> None:
    rows = {1: 5, 2: 6, 9: 7}
    one, two, nine = (balances.root(*columns({index: gwei})) for index, gwei in rows.items())
    left = sha256(one + two).digest()[:24] + (11).to_bytes(8, "big")
    right = sha256(nine + bytes(32)).digest()[:24] + (7).to_bytes(8, "big")
    assert balances.root(*columns(rows)) == sha256(left + right).digest()[:24] + (18).to_bytes(8, "big")


@given(books())
@settings(max_examples=200, deadline=None)
def test_root__any_balances__is_that_of_the_definition(rows: dict[int, int]) -> None:
    root = balances.root(*columns(rows))
    assert root == tree(rows)[-1][0]
    assert int.from_bytes(root[24:], "big") == sum(rows.values())


@given(books(least=1), st.data())
@settings(max_examples=100, deadline=None)
def test_root__one_number_differs__another_root_and_file(rows: dict[int, int], data: st.DataObject) -> None:
    index = data.draw(st.sampled_from(list(rows)))
    other = rows | {index: rows[index] - 1 if rows[index] else 1}
    assert balances.root(*columns(other)) != balances.root(*columns(rows))
    assert balances.file_hash(*columns(other)) != balances.file_hash(*columns(rows))


def test_root__signed_numbers__the_same() -> None:
    indices, gwei = columns({3: 4, 5: 6})
    assert balances.root(indices.astype(np.int64), gwei.astype(">u8")) == balances.root(indices, gwei)


def test_root__sum_of_2_to_the_64__refused() -> None:
    assert balances.root(*columns({1: MOST - 1, 2: 1}))[24:] == b"\xff" * 8
    with pytest.raises(BalancesError, match=r"the sum of the balances is above 2\*\*64 - 1 Gwei"):
        balances.root(*columns({1: MOST, 2: 1}))


@pytest.mark.parametrize(
    ("indices", "gwei", "message"),
    [
        ([1, 1], [2, 2], "indices rise, each is there once"),
        ([2, 1], [2, 2], "indices rise, each is there once"),
        ([1, 2**40], [2, 2], r"all are below 2\*\*40"),
        ([1, 2], [2], "2 validators, but 1 balances"),
        ([-1, 2], [2, 2], "none is negative"),
        ([1, 2], [2, -2], "none is negative"),
        ([1.5, 2], [2, 2], "whole numbers"),
    ],
)
def test_all__what_is_no_list_of_balances__refused(indices: list[Any], gwei: list[Any], message: str) -> None:
    arrays = np.array(indices), np.array(gwei)
    for work in (balances.root, balances.to_file, balances.file_hash):
        with pytest.raises(BalancesError, match=message):
            work(*arrays)
    with pytest.raises(BalancesError, match=message):
        balances.prove(*arrays, 2)


# --- file ---


def test_file__some_validators__is_as_written() -> None:
    rows = {0: 0, 17: 32 * ETHER, 2**40 - 1: 1}
    written = b"0,0\n17,32000000000\n1099511627775,1\n"
    assert balances.to_file(*columns(rows)) == written
    assert balances.file_hash(*columns(rows)) == sha256(written).digest()
    assert balances.file_hash(*columns({})) == sha256(b"").digest()


@given(books())
@settings(max_examples=100, deadline=None)
def test_file__read_again__is_the_same(rows: dict[int, int]) -> None:
    indices, gwei = balances.from_file(balances.to_file(*columns(rows)))
    assert dict(zip(indices.tolist(), gwei.tolist(), strict=True)) == rows


@pytest.mark.parametrize(
    "data",
    [
        b"1,2",
        b"1,2\r\n",
        b"1, 2\n",
        b"01,2\n",
        b"1,+2\n",
        b"1,-2\n",
        b"1,2\n\n",
        b"\n",
        b"1,2,3\n",
        b"1\n",
        b"1,\xd9\xa2\n",
        b"1,2\n#\n",
        b"2,2\n1,2\n",
        b"1,2\n1,2\n",
        b"1099511627776,1\n",
        b"1,18446744073709551616\n",
        b"1,99999999999999999999\n",
        b"1,18446744073709551615\n2,1\n",
        b"1,000000000000000000001\n",
    ],
)
def test_file__not_as_it_is_written__refused(data: bytes) -> None:
    with pytest.raises(BalancesError):
        balances.from_file(data)


@given(st.binary(max_size=40) | st.text("0123456789,\n", max_size=40).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_file__anything__is_refused_or_the_very_bytes(data: bytes) -> None:
    try:
        columns = balances.from_file(data)
    except BalancesError:
        return
    assert balances.to_file(*columns) == data


# --- proofs ---


@given(books(least=1))
@settings(max_examples=100, deadline=None)
def test_proof__of_every_validator__leads_to_the_root_and_the_sum(rows: dict[int, int]) -> None:
    root, levels = balances.root(*columns(rows)), tree(rows)
    for position, (index, gwei) in enumerate(rows.items()):
        proof = balances.prove(*columns(rows), index)
        beside = [level[(position >> height) ^ 1] for height, level in enumerate(levels[:-1])]
        assert proof == BalanceProof(index, gwei, position, beside)
        assert balances.verify(proof, root) == sum(rows.values())


@given(books(least=1), st.data())
@settings(max_examples=200, deadline=None)
def test_proof__one_bit_differs__refused(rows: dict[int, int], data: st.DataObject) -> None:
    root = balances.root(*columns(rows))
    proof = balances.prove(*columns(rows), data.draw(st.sampled_from(list(rows))))
    nodes = [root, *proof.branch]
    which, bit = data.draw(st.integers(0, len(nodes) - 1)), data.draw(st.integers(0, 255))
    nodes[which] = (int.from_bytes(nodes[which], "big") ^ 1 << bit).to_bytes(32, "big")
    with pytest.raises(BalancesError):
        balances.verify(proof._replace(branch=nodes[1:]), nodes[0])


def test_proof__of_something_else__refused() -> None:
    rows = {index: 32 * ETHER + index for index in range(10, 23)}
    root, proof = balances.root(*columns(rows)), balances.prove(*columns(rows), 14)
    assert balances.verify(proof, root) == sum(rows.values())
    others = [
        proof._replace(validator=15),
        proof._replace(balance=proof.balance + 1),
        proof._replace(position=5),
        proof._replace(position=4 ^ 8),
        proof._replace(branch=proof.branch[1:]),
        proof._replace(branch=[*proof.branch, ZERO]),
        proof._replace(branch=proof.branch[::-1]),
    ]
    for other in others:
        with pytest.raises(BalancesError, match="does not lead to this root"):
            balances.verify(other, root)


def test_proof__sums_moved_between_siblings__refused() -> None:
    # With sums beside the hashes instead of in them, one could lend balances from one branch to another.
    rows = dict.fromkeys(range(8), 32 * ETHER)
    root, proof = balances.root(*columns(rows)), balances.prove(*columns(rows), 0)
    moved = [
        node[:24] + (int.from_bytes(node[24:], "big") + change).to_bytes(8, "big")
        for node, change in zip(proof.branch, (1, -1, 0), strict=True)
    ]
    with pytest.raises(BalancesError, match="does not lead to this root"):
        balances.verify(proof._replace(branch=moved), root)


def test_proof__inner_node_as_leaf__refused() -> None:
    # A leaf is hashed from 64 bytes like every node: beside a node of zeros one could pass for a balance of 0.
    rows = {1: 0, 2: 0, 3: 0}
    inner = tree(rows)[0][2]
    fake = BalanceProof(int.from_bytes(inner, "big"), 0, 1, [tree(rows)[1][0]])
    with pytest.raises(BalancesError, match=r"an index is below 2\*\*40"):
        balances.verify(fake, balances.root(*columns(rows)))


def test_proof__malformed__says_what_is_wrong() -> None:
    rows = {1: 5, 2: 6}
    root, proof = balances.root(*columns(rows)), balances.prove(*columns(rows), 2)
    huge = (MOST - 5).to_bytes(32, "big")
    for other, top, message in (
        (proof._replace(validator=-1), root, r"an index is below 2\*\*40"),
        (proof._replace(balance=2**64), root, r"a balance below 2\*\*64"),
        (proof._replace(balance=-1), root, r"a balance below 2\*\*64"),
        (proof._replace(position=2), root, "a tree of 1 levels has no leaf 2"),
        (proof._replace(position=-1), root, "a tree of 1 levels has no leaf -1"),
        (proof._replace(branch=[bytes(31)]), root, "every node has 32 bytes"),
        (proof, root[:31], "every node has 32 bytes"),
        (proof._replace(branch=[huge]), root, "the sums overflow"),
    ):
        with pytest.raises(BalancesError, match=message):
            balances.verify(other, top)


@pytest.mark.parametrize("index", [0, 3, 10, -1, 2**40, 2**70])
def test_proof__validator_that_is_not_ours__named(index: int) -> None:
    with pytest.raises(BalancesError, match=f"validator {index} is not one of these 2"):
        balances.prove(*columns({1: 5, 4: 6}), index)


def test_proof__many_validators__short_and_whole() -> None:
    random = Random(3)
    indices = sorted(random.sample(range(10**6), 5_000))
    rows = {index: random.randrange(2_048 * ETHER) for index in indices}
    root, sums = balances.root(*columns(rows)), list(accumulate(rows.values()))
    for index in (indices[0], indices[2_500], indices[-1]):
        proof = balances.prove(*columns(rows), index)
        assert len(proof.branch) == 13
        assert balances.verify(proof, root) == sums[-1]
