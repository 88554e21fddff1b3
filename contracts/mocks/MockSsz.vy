# pragma version 0.4.3
"""
@title Mock SSZ
@license GNU Affero General Public License v3.0 only
@notice The smallest use of `ssz.vy`: its functions, callable from outside.
"""
from contracts.lib import ssz


@external
@pure
def container_root(chunks: bytes32[8]) -> bytes32:
    return ssz._container_root(chunks)


@external
@pure
def root(
    leaves: DynArray[bytes32, ssz.MAX_NODES],
    first: uint256,
    indices: DynArray[uint256, ssz.MAX_NODES],
    branch: DynArray[bytes32, ssz.MAX_BRANCH],
) -> bytes32:
    return ssz._root(leaves, first, indices, branch)


@external
@pure
def climb(leaf: bytes32, gindex: uint256, branch: DynArray[bytes32, ssz.MAX_BRANCH]) -> bytes32:
    return ssz._climb(leaf, gindex, branch)


@external
@pure
def to_chunk(number: uint256) -> bytes32:
    return ssz._to_chunk(number)


@external
@pure
def from_chunk(chunk: bytes32, place: uint256) -> uint256:
    return ssz._from_chunk(chunk, place)
