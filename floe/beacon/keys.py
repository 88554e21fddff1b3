"""Keys of validators: derived from a seed (EIP-2333, EIP-2334), signing and verifying as the consensus specs say.

The signatures are those of the IETF draft "BLS Signatures", ciphersuite BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_
(keys in G1, 48 bytes; signatures in G2, 96 bytes). Curve and pairing are `py_arkworks_bls12381`: compiled, maintained
beside the consensus specs, which use it too, and 3.1 ms a verification against 5.7 ms of milagro-bls-binding and some
350 ms of py_ecc; blspy, at 1.6 ms, is no longer maintained. It is not hardened against side channels: the keys derived
here are for tests, the devnet and the demo. Real validators' keys never come near.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar
from py_ecc.bls.ciphersuites import G2ProofOfPossession
from py_ecc.bls.hash import hkdf_expand, hkdf_extract

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""Of the group: a secret key is between 1 and this, both excluded."""

PUBLIC_KEY_LENGTH = 48
SIGNATURE_LENGTH = 96

_DOMAIN_TAG = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
_LAMPORT_CHUNKS = 255


class KeyMaterialError(ValueError):
    """A seed, an index or a secret key out of range, or bytes that are no public key."""


# --- derivation ---


def signing_key(seed: bytes, index: int) -> int:
    """Return the secret signing key of validator `index` (path m/12381/3600/index/0/0, EIP-2334).

    `seed` has at least 32 bytes. Raises KeyMaterialError.
    """
    secret = _all_validators(seed)
    for child in (index, 0, 0):
        secret = _child(secret, child)
    return secret


def derive(seed: bytes, *path: int) -> int:
    """Return the secret key at a path below the master key of `seed` (EIP-2333).

    `seed` has at least 32 bytes, each index of the path is below 2**32. Raises KeyMaterialError.
    """
    if len(seed) < 32:
        raise KeyMaterialError(f"seed: {len(seed)} bytes, needs at least 32")
    secret = G2ProofOfPossession.KeyGen(seed)  # what the EIP calls hkdf_mod_r
    for index in path:
        secret = _child(secret, index)
    return secret


@lru_cache(maxsize=16)
def _all_validators(seed: bytes) -> int:
    return derive(seed, 12381, 3600)


def _child(parent: int, index: int) -> int:
    if not 0 <= index < 2**32:
        raise KeyMaterialError(f"index: {index}, must be below 2**32 and not negative")
    salt, material = index.to_bytes(4, "big"), parent.to_bytes(32, "big")
    inverted = bytes(byte ^ 0xFF for byte in material)
    lamport = [chunk for half in (material, inverted) for chunk in _lamport_secrets(half, salt)]
    compressed = sha256(b"".join(sha256(chunk).digest() for chunk in lamport)).digest()
    return G2ProofOfPossession.KeyGen(compressed)


def _lamport_secrets(material: bytes, salt: bytes) -> list[bytes]:
    stream = bytes(hkdf_expand(hkdf_extract(salt, material), b"", 32 * _LAMPORT_CHUNKS))
    return [stream[i : i + 32] for i in range(0, len(stream), 32)]


# --- signatures ---


def public_key(secret: int) -> bytes:
    """Return the 48 bytes of the public key. Raises KeyMaterialError unless 0 < secret < ORDER."""
    return (G1Point() * _scalar(secret)).to_compressed_bytes()


def sign(secret: int, message: bytes) -> bytes:
    """Return the 96 bytes of the signature. Raises KeyMaterialError unless 0 < secret < ORDER."""
    return (G2Point.hash_to_curve(message, _DOMAIN_TAG) * _scalar(secret)).to_compressed_bytes()


def check_public_key(key: bytes) -> None:
    """Raise KeyMaterialError, with the reason, unless `key` is a point of the group and not infinity.

    This is KeyValidate of the IETF draft.
    """
    _key_point(key)


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` is that of `key` under `message`; malformed or invalid keys and signatures are not."""
    try:
        key_point, point = _key_point(key), G2Point.from_compressed_bytes(signature)
    except ValueError:
        return False
    return GT.pairing_check([key_point, -G1Point()], [G2Point.hash_to_curve(message, _DOMAIN_TAG), point])


def _key_point(key: bytes) -> G1Point:
    if len(key) != PUBLIC_KEY_LENGTH:
        raise KeyMaterialError(f"{len(key)} bytes, must be {PUBLIC_KEY_LENGTH}")
    try:
        point = G1Point.from_compressed_bytes(key)
    except ValueError:
        raise KeyMaterialError("not a point of the group") from None
    if point == G1Point.identity():
        raise KeyMaterialError("the point at infinity")
    return point


def _scalar(secret: int) -> Scalar:
    if not 0 < secret < ORDER:
        raise KeyMaterialError("secret key: out of range")
    return Scalar(secret)
