# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title SSZ Merkle proofs
@license GNU Affero General Public License v3.0 only
@notice Roots of SSZ containers, and of trees of which only some nodes and a branch are known. A place in a tree is a
        generalized index: 1 is the root, the children of g are 2g and 2g + 1 (consensus-specs, ssz/merkle-proofs.md).
"""
from contracts.lib import reasons

# Most nodes that one proof may start from.
MAX_NODES: constant(uint256) = 100
# Enough for a hundred neighbours, or for a few validators in different corners of the list. Vyper lays out memory for
# the longest branch that may come, and all pay for it.
MAX_BRANCH: constant(uint256) = 128
MAX_DEPTH: constant(uint256) = 96

SWAP_8: constant(uint256) = (2**64 - 1) // (2**8 + 1)  # every other byte
SWAP_16: constant(uint256) = (2**64 - 1) // (2**16 + 1)  # every other pair


@internal
@pure
def _container_root(chunks: bytes32[8]) -> bytes32:
    """
    @notice The root of a container of eight fields of one chunk each.
    """
    return sha256(
        abi_encode(
            sha256(abi_encode(sha256(abi_encode(chunks[0], chunks[1])), sha256(abi_encode(chunks[2], chunks[3])))),
            sha256(abi_encode(sha256(abi_encode(chunks[4], chunks[5])), sha256(abi_encode(chunks[6], chunks[7])))),
        )
    )


@internal
@pure
def _root(
    leaves: DynArray[bytes32, MAX_NODES],
    first: uint256,
    indices: DynArray[uint256, MAX_NODES],
    branch: DynArray[bytes32, MAX_BRANCH],
) -> bytes32:
    """
    @notice The root of the tree in which `leaves[k]` stands at the generalized index `first + indices[k]`, all on one
            level, in rising order: others never meet. `branch` holds what cannot be computed: level by level from the
            leaves up, and from left to right; once the nodes have met, one sibling for each level.
    @dev No node of the branch may be missing or left over. `leaves` and `indices` are of one length, at least 1.
         Reverts: "proof: wrong length".
    """
    count: uint256 = len(leaves)
    siblings: uint256 = len(branch)
    used: uint256 = 0
    node: bytes32 = leaves[0]
    place: uint256 = first + indices[0]
    if count > 1:
        nodes: DynArray[bytes32, MAX_NODES] = leaves
        places: DynArray[uint256, MAX_NODES] = indices
        places[0] = place
        for k: uint256 in range(1, count, bound=MAX_NODES):
            places[k] = first + indices[k]
        for level: uint256 in range(MAX_DEPTH):
            if count == 1:
                break
            # One level up: `taken` nodes are read, `made` are written.
            made: uint256 = 0
            taken: uint256 = 0
            for k: uint256 in range(count, bound=MAX_NODES):
                if taken == count:
                    break
                node = nodes[taken]
                place = places[taken]
                taken += 1
                if place & 1 == 0 and taken < count and places[taken] == place + 1:
                    node = sha256(abi_encode(node, nodes[taken]))
                    taken += 1
                else:
                    if used == siblings:
                        reasons._refuse(reasons.PROOF_LENGTH)
                    if place & 1 == 0:
                        node = sha256(abi_encode(node, branch[used]))
                    else:
                        node = sha256(abi_encode(branch[used], node))
                    used += 1
                place >>= 1
                nodes[made] = node
                places[made] = place
                made += 1
            count = made
        if count > 1:
            reasons._refuse(reasons.PROOF_LENGTH)
    for k: uint256 in range(used, siblings, bound=MAX_BRANCH):
        if place & 1 == 0:
            node = sha256(abi_encode(node, branch[k]))
        else:
            node = sha256(abi_encode(branch[k], node))
        place >>= 1
    if place != 1:
        reasons._refuse(reasons.PROOF_LENGTH)
    return node


@internal
@pure
def _climb(leaf: bytes32, gindex: uint256, branch: DynArray[bytes32, MAX_BRANCH]) -> bytes32:
    """
    @notice The root of the tree in which `leaf` stands at a generalized index and `branch` holds its siblings, the
            lowest first. None may be missing or left over. Reverts: "proof: wrong length".
    """
    node: bytes32 = leaf
    place: uint256 = gindex
    for sibling: bytes32 in branch:
        if place & 1 == 0:
            node = sha256(abi_encode(node, sibling))
        else:
            node = sha256(abi_encode(sibling, node))
        place >>= 1
    if place != 1:
        reasons._refuse(reasons.PROOF_LENGTH)
    return node


@internal
@pure
def _to_chunk(number: uint256) -> bytes32:
    """
    @notice The chunk of a u64: its eight bytes, the lowest first, and zeros.
    """
    return convert(self._swap(number) << 192, bytes32)


@internal
@pure
def _from_chunk(chunk: bytes32, place: uint256 = 0) -> uint256:
    """
    @notice The u64 at `place` (0 to 3) of a chunk that packs four of them.
    """
    return self._swap((convert(chunk, uint256) >> (192 - 64 * place)) & (2**64 - 1))


@internal
@pure
def _swap(number: uint256) -> uint256:
    """
    @notice The eight bytes of a u64 in the opposite order.
    """
    swapped: uint256 = ((number & SWAP_8) << 8) | ((number >> 8) & SWAP_8)
    swapped = ((swapped & SWAP_16) << 16) | ((swapped >> 16) & SWAP_16)
    return ((swapped & (2**32 - 1)) << 32) | (swapped >> 32)
