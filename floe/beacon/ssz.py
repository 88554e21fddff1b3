"""Merkle trees of SSZ, and proofs about validators and balances in the form that the registry takes.

Source: consensus specs, ssz/simple-serialize.md (merkleization) and ssz/merkle-proofs.md (generalized indices).

A proof shows several nodes of one level of a tree at once. Its `branch` holds the siblings that cannot be computed:
level by level from the leaves, within a level from left to right. Once the paths have met that is one per level.

    tree = Tree(leaves, depth=40, length=len(leaves) // 32)   # an SSZ list of at most 2**40 elements
    branch = tree.branch([3, 4, 900])
    root_of([tree.gindex + 3, tree.gindex + 4, tree.gindex + 900], [leaf_3, leaf_4, leaf_900], branch) == tree.root

    state = BeaconStateView(ssz, "electra", MAINNET)          # a million validators: seconds, not minutes
    witnesses, branch = state.prove_validators([3, 4, 900])
    verify_validators(witnesses, branch, gindices("electra", MAINNET)[0], header.state_root)

Run as a program it hashes validators: from their bytes on standard input to keys and roots on standard output. A large
state is shared out to such helpers, because Python hashes small things on one core only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from struct import Struct, iter_unpack
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from remerkleable.basic import boolean, uint64
from remerkleable.byte_arrays import Bytes32, ByteVector
from remerkleable.complex import Container, List, Vector
from remerkleable.core import BasicView

from floe.beacon.containers import VALIDATOR_REGISTRY_LIMIT, Preset, Validator, beacon_state

CHUNK = 32
"""Bytes of a chunk, and of every node of a tree."""

BALANCES_PER_CHUNK = 4
VALIDATOR_CHUNKS = 8

_OFFSET = 4  # bytes that stand for a field of variable length
_ROWS = 2**12  # containers whose chunks are in the cache at the same time
_PAIRS = Struct("64s" * 256)  # pairs that are hashed in one go
_SHARE = 2**17  # validators below which no helper is worth its start
_PROCESSES = 4  # most that hash, this one among them

ZERO_NODES: list[bytes] = [bytes(CHUNK)]
"""Root of a tree without leaves, by its number of levels (0 to 64)."""
for _ in range(64):
    ZERO_NODES.append(sha256(ZERO_NODES[-1] * 2).digest())


class StateError(Exception):
    """Bytes that are not the encoding of a state."""


class ProofError(Exception):
    """A proof that does not show what it should, or that cannot be made."""


def hash_pairs(nodes: bytes) -> bytes:
    """SHA-256 of every 64 bytes of `nodes`, one after the other: the level above a level of a tree.

    One call of OpenSSL a pair: about 2 million pairs a second. In portions, so that what is made stays in the cache.
    """
    data = memoryview(nodes)
    whole = len(data) - len(data) % _PAIRS.size
    hashed = [b"".join([sha256(pair).digest() for pair in pairs]) for pairs in _PAIRS.iter_unpack(data[:whole])]
    hashed += [sha256(pair).digest() for (pair,) in iter_unpack("64s", data[whole:])]
    return b"".join(hashed)


def key_of(pubkey: bytes) -> bytes:
    """Return the SSZ root of a public key (48 bytes): the key by which Floe knows the validator."""
    return sha256(pubkey + bytes(16)).digest()


def row_of(kind: Any) -> np.dtype[np.void]:
    """Return the record that a container of numbers, booleans and byte vectors is in a list of such.

    Byte vectors are arrays: `row["pubkey"].tobytes()`. Raises TypeError for other containers.
    """
    fields: list[Any] = []
    for name, field in kind.fields().items():
        if issubclass(field, ByteVector):
            fields.append((name, "u1", field.type_byte_length()))
        elif field in (uint64, boolean):
            fields.append((name, "<u8" if field is uint64 else "?"))
        else:
            raise TypeError(f"{kind.__name__}.{name} is neither a number, nor a boolean, nor bytes")
    return np.dtype(fields)


VALIDATOR = row_of(Validator)
"""A validator as a state holds it: 121 bytes."""


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


class BeaconStateView:
    """A beacon state read from its SSZ bytes, which are kept and not copied.

    Roots of lists and vectors of numbers and of roots, and of the validators, are computed over flat bytes; all other
    fields are the library's. `fork` is named as in the header Eth-Consensus-Version.
    Raises `StateError` if the bytes are not a state of this fork, `ContainerError` for a fork that is not known.
    """

    def __init__(self, ssz: bytes, fork: str, preset: Preset) -> None:
        self.fork, self.preset = fork, preset
        self._types: dict[str, Any] = dict(beacon_state(fork, preset).fields())
        self._parts = self._split(memoryview(ssz))
        self._trees: dict[str, Tree] = {}
        self._keys: bytes | None = None

    @property
    def slot(self) -> int:
        """Slot of the state."""
        return int.from_bytes(self._parts["slot"], "little")

    @cached_property
    def validators(self) -> NDArray[np.void]:
        """All validators, read only: an array of records (`VALIDATOR`) over the bytes of the state."""
        return self.rows("validators")

    @cached_property
    def balances(self) -> NDArray[np.uint64]:
        """Balances of all validators, in Gwei, read only, over the bytes of the state."""
        return self.numbers("balances").view(np.uint64)

    @property
    def root(self) -> bytes:
        """The state root."""
        return self._fields.root

    @property
    def keys(self) -> bytes:
        """Keys (`key_of`) of all validators, one after the other."""
        if self._keys is None:
            self._keys = _keys(self.validators["pubkey"])
        return self._keys

    def find(self, keys: Collection[bytes]) -> dict[bytes, int]:
        """Return the indices of the validators with these keys (`key_of`), ascending; without those of nobody."""
        if not keys:
            return {}
        wanted = frozenset(keys)
        return {key: index for index, (key,) in enumerate(iter_unpack(f"{CHUNK}s", self.keys)) if key in wanted}

    def numbers(self, name: str) -> NDArray[np.unsignedinteger[Any]]:
        """Return a list or a vector of numbers as an array, read only, over the bytes of the state."""
        self._demand_field(name)
        return np.frombuffer(self._parts[name], np.dtype(f"<u{self._types[name].element_cls().type_byte_length()}"))

    def rows(self, name: str) -> NDArray[np.void]:
        """Return a list of containers as an array of records (`row_of`), read only, over the bytes of the state."""
        self._demand_field(name)
        return np.frombuffer(self._parts[name], row_of(self._types[name].element_cls()))

    def field(self, name: str) -> Any:
        """Decode one field by the library. Meant for small ones: `fork`, `finalized_checkpoint`."""
        self._demand_field(name)
        try:
            return self._types[name].decode_bytes(bytes(self._parts[name]))
        except Exception as error:  # the library raises many kinds
            raise StateError(f"{name} cannot be decoded: {error}") from error

    def field_root(self, name: str) -> bytes:
        """Return the root of one field."""
        self._demand_field(name)
        kind, data = self._types[name], self._parts[name]
        if _is_table(kind):
            leaves, length = self._row_roots(name), len(self.rows(name))
        elif _is_flat(kind):
            leaves, length = bytes(data) + bytes(-len(data) % CHUNK), len(data) // kind.element_cls().type_byte_length()
        else:
            return bytes(self.field(name).hash_tree_root())
        tree = (
            Tree(leaves, kind.contents_depth(), length) if issubclass(kind, List) else Tree(leaves, kind.tree_depth())
        )
        if name in ("validators", "balances"):
            self._trees[name] = tree
        return tree.root

    def prove_validators(self, indices: Sequence[int]) -> tuple[list[Witness], list[bytes]]:
        """Return the validators at `indices` (ascending, each once) and their common branch to the state root."""
        branch = self._branch("validators", indices, indices)
        chunks = _field_nodes(self.validators[np.asarray(indices)])
        return [
            Witness(int(index), tuple(chunk.tobytes() for chunk in validator))
            for index, validator in zip(indices, chunks, strict=True)
        ], branch

    def prove_balance(self, index: int) -> tuple[bytes, list[bytes]]:
        """Return the chunk that holds the balance of validator `index`, and its branch to the state root."""
        position = index // BALANCES_PER_CHUNK
        branch = self._branch("balances", [index], [position])
        return self._trees["balances"].node(0, position), branch

    @cached_property
    def _fields(self) -> Tree:
        """The tree whose leaves are the roots of the fields."""
        roots = b"".join(self.field_root(name) for name in self._types)
        return Tree(roots, beacon_state(self.fork, self.preset).tree_depth())

    def _split(self, ssz: memoryview) -> dict[str, memoryview]:
        """Bytes of every field (simple-serialize.md: fixed parts, with offsets in the place of the others)."""
        sizes = {
            name: kind.type_byte_length() if kind.is_fixed_byte_length() else None for name, kind in self._types.items()
        }
        fixed = sum(size or _OFFSET for size in sizes.values())
        if len(ssz) < fixed:
            raise StateError(f"{len(ssz)} bytes are too short for a state of {self.fork}, {self.preset.name} preset")
        parts, starts, position = {}, {}, 0
        for name, size in sizes.items():
            part = ssz[position : position + (size or _OFFSET)]
            position += len(part)
            if size is None:
                starts[name] = int.from_bytes(part, "little")
            else:
                parts[name] = part
        bounds = [*starts.values(), len(ssz)]
        if bounds[0] != fixed or any(left > right for left, right in pairwise(bounds)):
            raise StateError(f"not a state of {self.fork} with the {self.preset.name} preset")
        parts |= {name: ssz[left:right] for name, (left, right) in zip(starts, pairwise(bounds), strict=True)}
        for name in (name for name in starts if _is_flat(self._types[name]) or _is_table(self._types[name])):
            count, rest = divmod(len(parts[name]), self._types[name].element_cls().type_byte_length())
            if rest:
                raise StateError(f"{name}: {len(parts[name])} bytes are not a whole number of elements")
            if count > self._types[name].limit():
                raise StateError(f"{name}: {count} elements, {self._types[name].limit()} are the limit")
        if len(parts["balances"]) // 8 != len(parts["validators"]) // VALIDATOR.itemsize:
            raise StateError("there are not as many balances as validators")
        return parts

    def _row_roots(self, name: str) -> bytes:
        """Roots of a list's containers, one after the other."""
        rows = self.rows(name)
        for flag, kind in self._types[name].element_cls().fields().items():
            if kind is boolean and rows[flag].view(np.uint8).max(initial=0) > 1:
                raise StateError(f"{name}: a field `{flag}` is neither 0 nor 1")
        if name != "validators":
            return _nodes(rows)[:, 1].tobytes()
        nodes = _shared_out(rows)
        self._keys = nodes[:, 0].tobytes()
        return nodes[:, 1].tobytes()

    def _demand_field(self, name: str) -> None:
        if name not in self._types:
            raise StateError(f"a state of {self.fork} has no field {name!r}")

    def _branch(self, name: str, indices: Sequence[int], leaves: Sequence[int]) -> list[bytes]:
        _demand_ascending(indices)
        if indices[0] < 0 or indices[-1] >= len(self.validators):
            raise ProofError(f"the state has {len(self.validators)} validators, the first has index 0")
        fields = self._fields  # makes the tree of `name` as well
        return self._trees[name].branch(leaves) + fields.branch([list(self._types).index(name)])


def _is_flat(kind: Any) -> bool:
    """Tell whether this is a list or a vector whose chunks are its bytes."""
    return issubclass(kind, List | Vector) and (
        isinstance(kind.element_cls(), BasicView) or issubclass(kind.element_cls(), Bytes32)
    )


def _is_table(kind: Any) -> bool:
    """Tell whether this is a list of containers for which there is a record."""
    if not (issubclass(kind, List) and issubclass(kind.element_cls(), Container)):
        return False
    fields = kind.element_cls().fields().values()
    return all(field in (uint64, boolean) or issubclass(field, ByteVector) for field in fields)


def _keys(pubkeys: NDArray[np.uint8]) -> bytes:
    padded = np.zeros((len(pubkeys), 2 * CHUNK), np.uint8)
    padded[:, : pubkeys.shape[1]] = pubkeys
    return hash_pairs(padded.tobytes())


def _field_nodes(rows: NDArray[np.void]) -> NDArray[np.uint8]:
    """Roots of the fields of containers: an array of shape (rows, fields filled up to a power of two, 32)."""
    names = rows.dtype.names or ()
    nodes = np.zeros((len(rows), 1 << (len(names) - 1).bit_length(), CHUNK), np.uint8)
    for position, name in enumerate(names):
        column = rows[name]
        if column.ndim == 1:
            nodes[:, position, : column.itemsize] = np.ascontiguousarray(column).view(np.uint8).reshape(len(rows), -1)
            continue
        chunks = 1 << (-(-column.shape[1] // CHUNK) - 1).bit_length()
        padded = np.zeros((len(rows), chunks * CHUNK), np.uint8)
        padded[:, : column.shape[1]] = column
        data = padded.tobytes()
        while chunks > 1:
            data, chunks = hash_pairs(data), chunks // 2
        nodes[:, position] = np.frombuffer(data, np.uint8).reshape(-1, CHUNK)
    return nodes


def _nodes(rows: NDArray[np.void]) -> NDArray[np.uint8]:
    """Of containers, the root of the first field and that of the whole: an array of shape (rows, 2, 32)."""
    made = np.empty((len(rows), 2, CHUNK), np.uint8)
    for start in range(0, len(rows), _ROWS):
        batch = rows[start : start + _ROWS]
        level = _field_nodes(batch)
        made[start : start + _ROWS, 0] = level[:, 0]
        roots, width = level.tobytes(), level.shape[1]
        while width > 1:
            roots, width = hash_pairs(roots), width // 2
        made[start : start + _ROWS, 1] = np.frombuffer(roots, np.uint8).reshape(-1, CHUNK)
    return made


def _shared_out(validators: NDArray[np.void]) -> NDArray[np.uint8]:
    """`_nodes` of validators; of many with the help of other processes."""
    shares = max(min(_PROCESSES, os.cpu_count() or 1, len(validators) // _SHARE), 1)
    own, *others = np.array_split(validators, shares)
    command = [sys.executable, "-P", "-m", "floe.beacon.ssz"]
    with ExitStack() as running:
        helpers = []
        for share in others:
            # Files, unlike pipes, can be filled and left alone.
            given, made = running.enter_context(TemporaryFile()), running.enter_context(TemporaryFile())
            given.write(share.tobytes())
            given.seek(0)
            helper = running.enter_context(subprocess.Popen(command, stdin=given, stdout=made))
            running.callback(helper.kill)
            helpers.append((helper, made))
        nodes = [_nodes(own)]
        for helper, made in helpers:
            if status := helper.wait():
                raise RuntimeError(f"a process that should hash validators ended with status {status}")
            made.seek(0)
            nodes.append(np.frombuffer(made.read(), np.uint8).reshape(-1, 2, CHUNK))
    return np.concatenate(nodes)


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
    if any(not 0 <= index < VALIDATOR_REGISTRY_LIMIT for index in indices):
        raise ProofError(f"an index of a validator is below {VALIDATOR_REGISTRY_LIMIT}")


if __name__ == "__main__":
    sys.stdout.buffer.write(_nodes(np.frombuffer(sys.stdin.buffer.read(), VALIDATOR)).tobytes())
