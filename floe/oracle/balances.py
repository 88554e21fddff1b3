"""The balances of all our validators: the file that lists them, and the Merkle-sum tree whose root a report carries.

    root(indices, balances)                          # `balances_root`; its last 8 bytes are the sum
    file_hash(indices, balances)                     # `balances_hash`, of the bytes of `to_file`
    proof = prove(indices, balances, index)          # who doubts one balance needs no file
    verify(proof, root) == sum of all balances

Indices are validator indices in rising order, balances are Gwei: those of the beacon state, without pending deposits.

A node is 32 bytes: the first 24 bytes of a SHA-256, then the sum of the balances below it, 8 bytes, big endian.
The digest of a leaf is of index ‖ balance, as two big-endian numbers of 32 bytes; that of any other node is of its two
children. Leaves stand in the order of the indices; behind them nodes of zeros fill up to a power of two. One validator
alone is its own root, and without validators the root is 32 zero bytes.
The file has one line `index,balance` for each validator, in decimal digits, ended by a line feed.

That the sums are hashed with the nodes is what makes the tree one of sums: no branch can show other sums than were
committed to, and all of them add up to the root's. An index is below 2**40, so no inner node can pass for a leaf.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floe.beacon.containers import VALIDATOR_REGISTRY_LIMIT
from floe.beacon.ssz import hash_pairs

NODE, DIGEST = 32, 24
"""Bytes of a node, and of the digest in it."""
ZERO = bytes(NODE)
"""What fills the tree up, and the root of no validators."""
MOST = 2**64 - 1
"""Gwei that all balances may be together."""

_FILE = re.compile(rb"(?:(?:0|[1-9][0-9]{0,19}),(?:0|[1-9][0-9]{0,19})\n)*")

Numbers = NDArray[np.integer[Any]]


class BalancesError(Exception):
    """Balances that cannot be listed, a file that does not list any, or a proof that does not hold. One line."""


class BalanceProof(NamedTuple):
    """That a validator has this balance in the tree of a root."""

    validator: int
    """Its index."""
    balance: int
    """Gwei."""
    position: int
    """Of its leaf, from the left: how many of our validators have a lower index."""
    branch: list[bytes]
    """The nodes beside the path to the root, the lowest first."""


def root(indices: Numbers, balances: Numbers) -> bytes:
    """Return the root of the tree. Raises BalancesError."""
    return _levels(*_checked(indices, balances))[-1].tobytes()


def to_file(indices: Numbers, balances: Numbers) -> bytes:
    """Return the bytes of the file. Raises BalancesError."""
    pairs = zip(*(column.tolist() for column in _checked(indices, balances)), strict=True)
    return b"".join([b"%d,%d\n" % pair for pair in pairs])


def file_hash(indices: Numbers, balances: Numbers) -> bytes:
    """Return the SHA-256 of the file. Raises BalancesError."""
    return sha256(to_file(indices, balances)).digest()


def from_file(data: bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return indices and balances of a file. Raises BalancesError for everything that `to_file` would not write."""
    if not _FILE.fullmatch(data):
        raise BalancesError("a file of balances has lines `index,balance`, in decimal digits, and nothing else")
    numbers = list(map(int, data.replace(b",", b"\n").split()))
    if max(numbers, default=0) > MOST:
        raise BalancesError(f"{max(numbers)} is above 2**64 - 1")
    return _checked(*np.array(numbers, np.uint64).reshape(-1, 2).T)


def prove(indices: Numbers, balances: Numbers, index: int) -> BalanceProof:
    """Return the proof of a validator's balance. Raises BalancesError, also for a validator that is not among them."""
    known, gwei = _checked(indices, balances)
    position = int(np.searchsorted(known, index)) if 0 <= index < VALIDATOR_REGISTRY_LIMIT else len(known)
    if position == len(known) or known[position] != index:
        raise BalancesError(f"validator {index} is not one of these {len(known)}")
    *below, _ = _levels(known, gwei)
    branch = [level[(position >> height) ^ 1].tobytes() for height, level in enumerate(below)]
    return BalanceProof(index, int(gwei[position]), position, branch)


def verify(proof: BalanceProof, root: bytes) -> int:
    """Return the sum of all balances below `root`, or raise BalancesError if the proof does not lead to it."""
    if not 0 <= proof.validator < VALIDATOR_REGISTRY_LIMIT or not 0 <= proof.balance <= MOST:
        raise BalancesError("an index is below 2**40, a balance below 2**64")
    if any(len(node) != NODE for node in (root, *proof.branch)):
        raise BalancesError(f"every node has {NODE} bytes")
    if not 0 <= proof.position < 1 << len(proof.branch):
        raise BalancesError(f"a tree of {len(proof.branch)} levels has no leaf {proof.position}")
    total = proof.balance
    node = _node(proof.validator.to_bytes(32, "big") + proof.balance.to_bytes(32, "big"), total)
    for height, sibling in enumerate(proof.branch):
        total += int.from_bytes(sibling[DIGEST:], "big")
        if total > MOST:
            raise BalancesError("the sums overflow")
        node = _node(sibling + node if proof.position >> height & 1 else node + sibling, total)
    if node != root:
        raise BalancesError("the proof does not lead to this root")
    return total


def _node(preimage: bytes, total: int) -> bytes:
    return sha256(preimage).digest()[:DIGEST] + total.to_bytes(NODE - DIGEST, "big")


def _checked(indices: Numbers, balances: Numbers) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    if len(indices) != len(balances):
        raise BalancesError(f"{len(indices)} validators, but {len(balances)} balances")
    if any(column.dtype.kind not in "iu" or column.min(initial=0) < 0 for column in (indices, balances)):
        raise BalancesError("indices and balances are whole numbers, none is negative")
    known, gwei = indices.astype(np.uint64), balances.astype(np.uint64)
    if (known[1:] <= known[:-1]).any() or known[-1:].max(initial=0) >= VALIDATOR_REGISTRY_LIMIT:
        raise BalancesError("indices rise, each is there once, and all are below 2**40")
    if int(gwei.sum(dtype=object)) > MOST:
        raise BalancesError("the sum of the balances is above 2**64 - 1 Gwei")
    return known, gwei


def _levels(indices: NDArray[np.uint64], balances: NDArray[np.uint64]) -> list[NDArray[np.uint8]]:
    """Nodes of every level, leaves first: arrays of shape (nodes, 32)."""
    width = 1 << max(len(indices) - 1, 0).bit_length()
    preimages = np.zeros((len(indices), 2, 4), ">u8")
    preimages[:, 0, 3], preimages[:, 1, 3] = indices, balances
    levels = [np.zeros((width, NODE), np.uint8)]
    levels[0][: len(indices)] = _nodes(preimages.tobytes(), balances)
    while width > 1:
        width //= 2
        sums = levels[-1].view(">u8")[:, 3].reshape(width, 2).astype(np.uint64).sum(axis=1)
        levels.append(_nodes(levels[-1].tobytes(), sums))
    return levels


def _nodes(preimages: bytes, sums: NDArray[np.uint64]) -> NDArray[np.uint8]:
    nodes = np.frombuffer(hash_pairs(preimages), np.uint8).reshape(-1, NODE).copy()
    nodes.view(">u8")[:, 3] = sums
    return nodes
