"""Merkle trees of SSZ, and proofs about validators and balances in the form that the registry takes.

Source: consensus specs, ssz/simple-serialize.md (merkleization) and ssz/merkle-proofs.md (generalized indices).

A proof shows several nodes of one level of a tree at once. Its `branch` holds the siblings that cannot be computed:
level by level from the leaves, within a level from left to right. Once the paths have met that is one per level.

    tree = Tree(leaves, depth=40, length=len(leaves) // 32)   # an SSZ list of at most 2**40 elements
    branch = tree.branch([3, 4, 900])
    root_of([tree.gindex + 3, tree.gindex + 4, tree.gindex + 900], [leaf_3, leaf_4, leaf_900], branch) == tree.root
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from struct import iter_unpack

CHUNK = 32
"""Bytes of a chunk, and of every node of a tree."""

VALIDATORS_DEPTH = 40
"""Levels of the tree of `validators`: VALIDATOR_REGISTRY_LIMIT is 2**40, an element is one leaf."""

BALANCES_DEPTH = 38
"""Levels of the tree of `balances`: a leaf packs four of the 2**40 numbers."""

BALANCES_PER_CHUNK = 4
VALIDATOR_CHUNKS = 8

ZERO_NODES: list[bytes] = [bytes(CHUNK)]
"""Root of a tree without leaves, by its number of levels (0 to 64)."""
for _ in range(64):
    ZERO_NODES.append(sha256(ZERO_NODES[-1] * 2).digest())


class ProofError(Exception):
    """A proof that does not show what it should, or that cannot be made."""


def hash_pairs(nodes: bytes) -> bytes:
    """SHA-256 of every 64 bytes of `nodes`, one after the other: the level above a level of a tree.

    One call of OpenSSL a pair: about 2 million pairs a second.
    """
    return b"".join([sha256(pair).digest() for (pair,) in iter_unpack("64s", nodes)])


class Tree:
    """A binary Merkle tree of 2**`depth` leaves: those that are given, zeros behind them.

    `leaves` is a whole number of 32-byte nodes. With `length` it is the tree of an SSZ list: one level more, on which
    the number of elements stands to the right of the elements.
    """

    def __init__(self, leaves: bytes, depth: int, length: int | None = None) -> None:
        if len(leaves) % CHUNK or len(leaves) > CHUNK << depth:
            raise ValueError(f"{len(leaves)} bytes are not at most 2**{depth} nodes of {CHUNK} bytes")
        self.depth, self.length = depth, length
        self._levels = [leaves]
        for height in range(depth):
            below = self._levels[-1]
            self._levels.append(hash_pairs(below + ZERO_NODES[height] * (len(below) // CHUNK % 2)))

    @property
    def gindex(self) -> int:
        """Generalized index of leaf 0."""
        return 1 << self.depth if self.length is None else 2 << self.depth

    @cached_property
    def root(self) -> bytes:
        """Root of the whole tree."""
        top = self.node(self.depth, 0)
        return top if self.length is None else sha256(top + self._length_node).digest()

    def node(self, height: int, position: int) -> bytes:
        """Return the node `height` levels above the leaves, the `position`-th from the left."""
        if not (0 <= height <= self.depth and 0 <= position < 1 << self.depth - height):
            raise ValueError(f"no node {position} at height {height} of a tree of {self.depth} levels")
        return self._levels[height][position * CHUNK : (position + 1) * CHUNK] or ZERO_NODES[height]

    def branch(self, positions: Sequence[int]) -> list[bytes]:
        """Return the branch that leads from the leaves at `positions` (ascending, at least one) to the root."""
        _demand_ascending(positions)
        if positions[0] < 0 or positions[-1] >> self.depth:
            raise ProofError(f"no leaf {positions[-1] if positions[0] >= 0 else positions[0]} in this tree")
        branch, level = [], list(positions)
        for height in range(self.depth):
            known = set(level)
            branch += [self.node(height, position ^ 1) for position in level if position ^ 1 not in known]
            level = sorted({position >> 1 for position in level})
        return branch if self.length is None else [*branch, self._length_node]

    @property
    def _length_node(self) -> bytes:
        return (self.length or 0).to_bytes(CHUNK, "little")


@dataclass(frozen=True)
class Witness:
    """A validator in a state: its index, and the 8 chunks of the container `Validator`.

    In order: pubkey root, withdrawal credentials, effective balance (Gwei), slashed, activation eligibility epoch,
    activation epoch, exit epoch, withdrawable epoch; numbers are little endian.
    """

    index: int
    chunks: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        """The leaf in the tree of `validators`."""
        if [len(chunk) for chunk in self.chunks] != [CHUNK] * VALIDATOR_CHUNKS:
            raise ProofError(f"a validator is {VALIDATOR_CHUNKS} chunks of {CHUNK} bytes")
        return hash_pairs(hash_pairs(hash_pairs(b"".join(self.chunks))))


def root_of(gindices: Sequence[int], nodes: Sequence[bytes], branch: Sequence[bytes]) -> bytes:
    """Return the root of the tree that holds `nodes` at `gindices` (ascending, all on one level).

    Raises `ProofError` if the branch is too short or too long, or anything is not of its form. A root that comes out
    says nothing before it was compared with a known one.
    """
    _demand_ascending(gindices)
    if len(nodes) != len(gindices) or gindices[0] < 1 or gindices[0].bit_length() != gindices[-1].bit_length():
        raise ProofError("one node for each index is needed, all on one level")
    if any(len(node) != CHUNK for node in (*nodes, *branch)):
        raise ProofError(f"every node has {CHUNK} bytes")
    siblings = iter(branch)
    level = list(zip(gindices, nodes, strict=True))
    while level[0][0] > 1:
        level = list(_level_above(level, siblings))
    if next(siblings, None) is not None:
        raise ProofError("the branch is too long")
    return level[0][1]


def verify_validators(witnesses: Sequence[Witness], branch: Sequence[bytes], gindex: int, state_root: bytes) -> None:
    """Raise `ProofError` unless `witnesses` (ascending) are validators of the state with this root.

    `gindex` is that of `validators[0]` in the fork of the state (`fork_table`).
    """
    indices = [witness.index for witness in witnesses]
    _demand_index(indices)
    found = root_of([gindex + index for index in indices], [witness.root for witness in witnesses], branch)
    if found != state_root:
        raise ProofError("the branch does not lead to this state root")


def verify_balance(index: int, chunk: bytes, branch: Sequence[bytes], gindex: int, state_root: bytes) -> int:
    """Return the balance (Gwei) of validator `index`, or raise `ProofError` if the state with this root has another.

    `chunk` is what packs the balances of four neighbours; `gindex` is that of `balances[0]` in the fork of the state.
    """
    _demand_index([index])
    if root_of([gindex + index // BALANCES_PER_CHUNK], [chunk], branch) != state_root:
        raise ProofError("the branch does not lead to this state root")
    start = index % BALANCES_PER_CHUNK * 8
    return int.from_bytes(chunk[start : start + 8], "little")


def _level_above(level: list[tuple[int, bytes]], siblings: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Nodes above those of `level`; what is missing beside them comes from `siblings`."""
    position = 0
    while position < len(level):
        gindex, node = level[position]
        if gindex % 2 == 0 and position + 1 < len(level) and level[position + 1][0] == gindex + 1:
            sibling = level[position + 1][1]
            position += 2
        else:
            sibling = next(siblings, b"")
            position += 1
        if not sibling:
            raise ProofError("the branch is too short")
        yield gindex >> 1, sha256(sibling + node if gindex % 2 else node + sibling).digest()


def _demand_ascending(numbers: Sequence[int]) -> None:
    if not numbers or any(left >= right for left, right in pairwise(numbers)):
        raise ProofError("indices must be ascending, each once, at least one")


def _demand_index(indices: Sequence[int]) -> None:
    if any(not 0 <= index < 1 << VALIDATORS_DEPTH for index in indices):
        raise ProofError(f"an index of a validator is below 2**{VALIDATORS_DEPTH}")
