"""Deposits: keys, signatures and roots against published answers and the real contract; every way to be wrong."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from hashlib import pbkdf2_hmac, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner
from eth_abi.abi import decode, encode
from eth_typing import BLSPubkey, BLSSignature
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.bls.ciphersuites import G2ProofOfPossession
from pyrevm import AccountInfo

from ape_floe.cli import cli
from floe.beacon import deposit, keys
from floe.beacon.containers import BeaconBlockHeader, header_root
from floe.beacon.deposit import (
    GWEI,
    HOODI,
    MAINNET,
    PREDEPOSIT_GWEI,
    DepositData,
    DepositError,
    DepositsRefused,
    Network,
    check,
    credentials,
    predeposit_calldata,
    read,
    sign_deposit,
    write,
)
from floe.build import ROOT
from floe.deploy import record
from tests.evm import ETHER, Evm

SEED = sha256(b"validators").digest()
VAULT = "0x" + "f1" * 20
OUTSIDERS_VAULT = "0x" + "0e" * 20
COUNT = 5
FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
"""Size of the field of BLS12-381: coordinates are below it."""
INFINITY = bytes([0xC0]) + bytes(47)
# On the curve, outside of the group.
WRONG_GROUP = bytes([0x80]) + bytes(46) + bytes([4])
# No point of the curve has this x.
OFF_CURVE = bytes([0x80]) + bytes(46) + bytes([1])


def signed(
    index: int, vault: str = VAULT, amount_gwei: int = PREDEPOSIT_GWEI, network: Network = MAINNET
) -> DepositData:
    """Return the deposit of validator `index`."""
    secret = keys.signing_key(SEED, index)
    return sign_deposit(secret, credentials(vault), amount_gwei, network.genesis_fork_version)


@pytest.fixture(scope="module")
def deposits() -> list[DepositData]:
    return [signed(index) for index in range(COUNT)]


@pytest.fixture
def entries(deposits: list[DepositData], tmp_path: Path) -> Any:
    """Return a good file's entries, free to be spoilt."""
    write(tmp_path / "good.json", deposits, MAINNET)
    return read(tmp_path / "good.json")


def problems(entries: list[Any], network: Network = MAINNET, vault: str = VAULT, **lookups: Any) -> list[str]:
    """Return what `check` says of a file that it must refuse, key left out."""
    with pytest.raises(DepositsRefused) as refused:
        check(entries, network, vault, **({"registry": None, "beacon": None} | lookups))
    assert str(refused.value).count("\n") == len(refused.value.problems) - 1
    return [f"{problem.entry} {problem.text}" for problem in refused.value.problems]


# --- keys: EIP-2333, EIP-2334, and the IETF draft's signatures ---

# "Test cases" of EIP-2333: seed, master key, index, child key.
DERIVED = [
    (
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
        6083874454709270928345386274498605044986640685124978867557563392430687146096,
        0,
        20397789859736650942317412262472558107875392172444076792671091975210932703118,
    ),
    (
        "3141592653589793238462643383279502884197169399375105820974944592",
        29757020647961307431480504535336562678282505419141012933316116377660817309383,
        3141592653,
        25457201688850691947727629385191704516744796114925897962676248250929345014287,
    ),
    (
        "0099FF991111002299DD7744EE3355BBDD8844115566CC55663355668888CC00",
        27580842291869792442942448775674722299803720648445448686099262467207037398656,
        4294967295,
        29358610794459428860402234341874281240803786294062035874021252734817515685787,
    ),
    (
        "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
        19022158461524446591288038168518313374041767046816487870552872741050760015818,
        42,
        31372231650479070279774297061823572166496564838472787488249775572789064611981,
    ),
]


@pytest.mark.parametrize(("seed", "master", "index", "child"), DERIVED)
def test_derive__test_cases_of_the_eip__equal(seed, master, index, child):
    assert keys.derive(bytes.fromhex(seed)) == master
    assert keys.derive(bytes.fromhex(seed), index) == child


def test_signing_key__its_path__is_the_one_of_eip_2334():
    assert keys.signing_key(SEED, 7) == keys.derive(SEED, 12381, 3600, 7, 0, 0)
    assert len({keys.signing_key(SEED, index) for index in range(4)}) == 4


def test_signing_key__short_seed_or_index_out_of_range__refused():
    for seed, index in ((bytes(31), 0), (SEED, -1), (SEED, 2**32)):
        with pytest.raises(keys.KeyMaterialError):
            keys.signing_key(seed, index)


# `sign` and `verify` of ethereum/bls12-381-tests, which the consensus specs' tests of general/phase0/bls come from.
SIGNED = [
    (
        0x263DBD792F5B1BE47ED85F8938C0F29586AF0D3AC7B977F21C278FE1462040E3,
        "a491d1b0ecd9bb917989f0e74f0dea0422eac4a873e5e2644f368dffb9a6e20fd6e10c1b77654d067c0618f6e5a7f79a",
        "56" * 32,
        "882730e5d03f6b42c3abc26d3372625034e1d871b65a8a6b900a56dae22da98abbe1b68f85e49fe7652a55ec3d0591c2"
        "0767677e33e5cbb1207315c41a9ac03be39c2e7668edc043d6cb1d9fd93033caa8a1c5b0e84bedaeb6c64972503a43eb",
    ),
    (
        0x328388AFF0D4A5B7DC9205ABD374E7E98F3CD9F3418EDB4EAFDA5FB16473D216,
        "b53d21a4cfd562c469cc81514d4ce5a6b577d8403d32a394dc265dd190b47fa9f829fdd7963afdf972e5e77854051f6f",
        "00" * 32,
        "948a7cb99f76d616c2c564ce9bf4a519f1bea6b0a624a02276443c245854219fabb8d4ce061d255af5330b078d538068"
        "1751aa7053da2c98bae898edc218c75f07e24d8802a17cd1f6833b71e58f5eb5b94208b4d0bb3848cecb075ea21be115",
    ),
]


@pytest.mark.parametrize(("secret", "pubkey", "message", "signature"), SIGNED)
def test_sign__published_vectors__equal_and_verify(secret, pubkey, message, signature):
    key, text, made = bytes.fromhex(pubkey), bytes.fromhex(message), bytes.fromhex(signature)
    assert keys.public_key(secret) == key
    assert keys.sign(secret, text) == made
    assert keys.verify(key, text, made)
    assert not keys.verify(key, text, made[:-4] + bytes([255]) * 4)  # "tampered_signature" of the vectors
    assert not keys.verify(key, bytes(31) + b"\x01", made)


def test_sign__py_ecc__agrees():
    secret = keys.signing_key(SEED, 0)
    message = sha256(b"a message").digest()
    pubkey, signature = keys.public_key(secret), keys.sign(secret, message)
    assert G2ProofOfPossession.SkToPk(secret) == pubkey
    assert G2ProofOfPossession.Sign(secret, message) == signature
    assert G2ProofOfPossession.Verify(BLSPubkey(pubkey), message, BLSSignature(signature))


@pytest.mark.parametrize("secret", [0, -1, keys.ORDER, keys.ORDER + 1])
def test_sign__secret_out_of_range__refused(secret):
    with pytest.raises(keys.KeyMaterialError, match="out of range"):
        keys.sign(secret, b"")
    with pytest.raises(keys.KeyMaterialError, match="out of range"):
        keys.public_key(secret)


BAD_KEYS = {
    "infinity": (INFINITY, "the point at infinity"),
    "infinity, with a sign": (bytes([0xE0]) + bytes(47), "the point at infinity"),
    "infinity, not clean": (bytes([0xC0]) + bytes(46) + b"\x01", "the point at infinity"),
    "all ones": (bytes([255]) * 48, "the point at infinity"),
    "zeros": (bytes(48), "not a point of the group"),
    "not compressed": (bytes([0x17]) + bytes(47), "not a point of the group"),
    "off the curve": (OFF_CURVE, "not a point of the group"),
    "outside the group": (WRONG_GROUP, "not a point of the group"),
    "47 bytes": (INFINITY[:47], "47 bytes, must be 48"),
    "49 bytes": (INFINITY + b"\x00", "49 bytes, must be 48"),
    "none": (b"", "0 bytes, must be 48"),
}


@pytest.mark.parametrize(("key", "reason"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_public_key__no_valid_point__named_and_verifies_nothing(key, reason):
    with pytest.raises(keys.KeyMaterialError, match=reason):
        keys.check_public_key(key)
    infinite_signature = bytes([0xC0]) + bytes(95)
    assert not keys.verify(key, b"", infinite_signature)
    assert not keys.verify(key, b"", signed(0).signature)


def test_public_key__wrong_group__is_on_the_curve():
    """What the case above refuses is refused for its group, by py_ecc too."""
    assert not G2ProofOfPossession.KeyValidate(BLSPubkey(WRONG_GROUP))
    x = int.from_bytes(WRONG_GROUP, "big") % 2**381
    assert pow(x**3 + 4, (FIELD - 1) // 2, FIELD) == 1
    x = int.from_bytes(OFF_CURVE, "big") % 2**381
    assert pow(x**3 + 4, (FIELD - 1) // 2, FIELD) != 1


def test_verify__coordinates_beyond_the_field__false():
    """A point has one encoding: the field's size added to x, where three bits are left for it, makes no second one."""
    secret = 2  # whose key and signature have an x small enough
    key, signature = keys.public_key(secret), keys.sign(secret, b"m")
    assert keys.verify(key, b"m", signature)
    again, signature_again = (
        (int.from_bytes(point[:48], "big") + FIELD).to_bytes(48, "big") + point[48:] for point in (key, signature)
    )
    assert (again[0] & 0xC0, signature_again[0] & 0xC0) == (0x80, 0x80)
    with pytest.raises(keys.KeyMaterialError, match="not a point of the group"):
        keys.check_public_key(again)
    assert not keys.verify(again, b"m", signature)
    assert not keys.verify(key, b"m", signature_again)


@pytest.mark.parametrize("infinity", ["c0" + "00" * 95, "c0" + "00" * 94 + "01", "e0" + "00" * 95, "ff" * 96])
def test_verify__signature_at_infinity__false(infinity):
    assert not keys.verify(signed(0).pubkey, b"m", bytes.fromhex(infinity))


@pytest.mark.parametrize("length", [0, 95, 97])
def test_verify__signature_of_another_length__false(length):
    one = signed(0)
    assert not keys.verify(one.pubkey, one.message_root, (one.signature + b"\x00")[:length])


# --- a deposit ---

# What the official tool made, as projects have published it: ether.fi (1 ETH, version 2.7.0), StakeWise (2.4.0), and
# Obol (compounding credentials). Names of the chains are those of their time.
RECORDED = [
    '{"pubkey": "ad85894db60881bcee956116beae6bc6934d7eca8317dc3084adf665be426a21a1855b5196a7515fd791bf0b6e3727c5", '
    '"withdrawal_credentials": "010000000000000000000000b2de3e0380d7229dc9e717342ed042e54eaaa620", '
    '"amount": 1000000000, '
    '"signature": "848169dd090590d31b4eee23f031b3f0df4bbe097e1ea3f65e4c40b5da412f326adfed4b1c45b83831eb692e906ba1ec'
    '0f0cacfc714f1c89ad74eca71be43247965e71ead2dc7625410d69c434fa88895ef2c9e135bb187b04eb62bc87539dcf", '
    '"deposit_message_root": "12f106b1c020239e8c2857c5bd355ca4c9fec33b2140367064a7df5a11861f44", '
    '"deposit_data_root": "aa08a4fe6761812fb0ae067b98e30239a2aefb609c271edf4efe84f7a5742ff3", '
    '"fork_version": "01017000", "network_name": "holesky", "deposit_cli_version": "2.7.0"}',
    '{"pubkey": "8bfc0efc0209514a62cda2de8346a3a0849352eb830e0ff5b525642d93b9095d879a2789b284da14e348f85711b6b6d0", '
    '"withdrawal_credentials": "010000000000000000000000ac0f906e433d58fa868f936e8a43230473652885", '
    '"amount": 32000000000, '
    '"signature": "b55612acebde460bb273d100bc1574a21aea12f168ad7921cca855b6bf587646b0da329d4b17944773a876a90d87939a'
    '001a3857ca224b300ebe57703dce6be37d074e892fd65aa64e92284092efa14c38c1ed17f9fb4e3cd7a585ea66d46b03", '
    '"deposit_message_root": "f39eaed6c4c7e3e4563a3b5f3f1ca195c761f10517a5b303031d453dd3be28be", '
    '"deposit_data_root": "2d85d54c2b3d1a593f0f974d41fded6d68910e59adfc2d4e90ec74bb2e91e3c4", '
    '"fork_version": "00000000", "network_name": "mainnet", "deposit_cli_version": "2.4.0"}',
    '{"pubkey": "80d0436ccacd2b263f5e9e7ebaa14015fe5c80d3e57dc7c37bcbda783895e3491019d3ed694ecbb49c8c80a0480c0392", '
    '"withdrawal_credentials": "02000000000000000000000005f9f73f74c205f2b9267c04296e3069767531fb", '
    '"amount": 32000000000, '
    '"signature": "aed3c99949ab93622f2d1baaeb047d30cb33e744e1a8464eebe1a2a634f0f23529ce753c54035968e9f3f683bca02f67'
    '04c933ca9ff2b181897de4eb27b0b2568721fe625084d5cc9030be55ceb1bc573df61a8a67bad87d94187ee4d28fc36f", '
    '"deposit_message_root": "0ed9775278db27ab7ef0efeea0861750d1f0e917deecfe68398321468201f2f8", '
    '"deposit_data_root": "10e0a77c03f4420198571cf957ce3cd7cc85ae310664c77ff9556eba18ec8689", '
    '"fork_version": "00001020", "network_name": "goerli", "deposit_cli_version": "2.7.0"}',
]


def recorded(text: str) -> tuple[DepositData, Network, dict[str, Any]]:
    """Return a recorded deposit, its chain, and its entry."""
    entry = json.loads(text)
    data = DepositData(
        pubkey=bytes.fromhex(entry["pubkey"]),
        withdrawal_credentials=bytes.fromhex(entry["withdrawal_credentials"]),
        amount=entry["amount"],
        signature=bytes.fromhex(entry["signature"]),
    )
    fork_version = bytes.fromhex(entry["fork_version"])
    return data, Network(name=entry["network_name"], genesis_fork_version=fork_version), entry


@pytest.mark.parametrize("text", RECORDED, ids=["holesky", "mainnet", "goerli"])
def test_deposit__of_the_official_tool__roots_equal_and_signature_holds(text, tmp_path):
    data, network, entry = recorded(text)
    assert data.message_root.hex() == entry["deposit_message_root"]
    assert data.root.hex() == entry["deposit_data_root"]
    assert data.is_signed(network.genesis_fork_version)
    assert not data.is_signed(HOODI.genesis_fork_version)
    write(tmp_path / "again.json", [data], network)
    assert (tmp_path / "again.json").read_text() == f"[{text}]".replace("2.4.0", "2.7.0")


def test_sign_deposit__mnemonic_of_eth_staking_smith__its_published_deposit():
    words = (
        "entire habit bottom mention spoil clown finger wheat motion fox axis mechanic "
        "country make garment bar blind stadium sugar water scissors canyon often ketchup"
    )
    seed = pbkdf2_hmac("sha512", words.encode(), b"mnemonic", 2048)  # BIP-39
    made = sign_deposit(keys.signing_key(seed, 0), b"\x01" + bytes(30) + b"\x01", 32 * GWEI, bytes(4))
    assert made.pubkey.hex() == (
        "8666389c3fe6ff0bca9adba81504f380b9e2c719419760d561836472fafe295cb50696524e19cba084e1d788d66c80d6"
    )
    assert made.signature.hex() == (
        "a1f3ece1cb871e1af29fdaf94cab58d48d128d0ed2342a1f042f49344943c25ec6eab4f2219301e421a88453c6aa29e9"
        "0b78373a8341c17738bc0ff4d0a724494535b494cd21fd2633a7a12353a5232c9806e1576f1e2447631ec3310db4008b"
    )
    assert made.message_root.hex() == "dc224ac1c94d70906d643644f20398bdea5dabea123116a9d6135b8f5f4906bd"
    assert made.root.hex() == "f5c6b52d2ba608f0df4123e5ed051b5765a636e09d1372668e1ec074430f2279"


@given(st.sampled_from(["pubkey", "withdrawal_credentials", "amount", "signature"]), st.integers(0, 2**16))
@settings(max_examples=120)
def test_deposit__one_bit_flipped__neither_root_nor_signature_holds(field, where):
    good = signed(0)
    value = getattr(good, field)
    if field == "amount":
        changed: Any = value ^ 1 << where % 64
    else:
        position, bit = divmod(where % (8 * len(value)), 8)
        changed = value[:position] + bytes([value[position] ^ 1 << bit]) + value[position + 1 :]
    bad = DepositData(**good.model_dump() | {field: changed})
    assert bad.root != good.root
    assert not bad.is_signed(MAINNET.genesis_fork_version)


def test_deposit__signature_of_another_key_or_another_domain__does_not_hold():
    good, other = signed(0), signed(1)
    assert good.is_signed(MAINNET.genesis_fork_version)
    assert not good.model_copy(update={"signature": other.signature}).is_signed(MAINNET.genesis_fork_version)
    # What a validator signs when it leaves, or proposes, must not pass for a deposit, nor may the bare root.
    secret = keys.signing_key(SEED, 0)
    assert not good.model_copy(update={"signature": keys.sign(secret, good.message_root)}).is_signed(bytes(4))
    exit_domain = b"\x04" + bytes(3) + sha256(bytes(64)).digest()[:28]
    signing_root = sha256(good.message_root + exit_domain).digest()
    assert not good.model_copy(update={"signature": keys.sign(secret, signing_root)}).is_signed(bytes(4))
    deposit_domain = b"\x03" + exit_domain[1:]
    signing_root = sha256(good.message_root + deposit_domain).digest()
    assert good.signature == keys.sign(secret, signing_root)


WRONG_FIELDS: list[dict[str, Any]] = [
    {"pubkey": bytes(47)},
    {"pubkey": bytes(49)},
    {"withdrawal_credentials": bytes(31)},
    {"withdrawal_credentials": bytes(33)},
    {"signature": bytes(95)},
    {"signature": bytes(97)},
    {"amount": -1},
    {"amount": 2**64},
    {"amount": 1.0},
    {"amount": True},
]


@pytest.mark.parametrize("change", WRONG_FIELDS, ids=str)
def test_deposit__wrong_length_or_amount__cannot_be_made(change):
    with pytest.raises(ValueError):
        DepositData(**signed(0).model_dump() | change)


@pytest.mark.parametrize(
    ("length", "amount", "version"), [(31, 1, 4), (33, 1, 4), (32, -1, 4), (32, 2**64, 4), (32, 1, 3), (32, 1, 5)]
)
def test_sign_deposit__wrong_length_or_amount__refused(length, amount, version):
    with pytest.raises(ValueError, match="withdrawal credentials have 32 bytes"):
        sign_deposit(1, bytes(length), amount, bytes(version))


def test_deposit__changed_copy__has_roots_of_its_own():
    good, other = signed(0), signed(1)
    assert good.root != other.root
    assert good.model_copy(update=other.model_dump()).root == other.root
    assert good.model_copy(update={"amount": 1}).message_root != good.message_root


def test_credentials__of_a_vault__compounding_prefix_zeros_address():
    assert credentials(VAULT).hex() == "02" + "00" * 11 + "f1" * 20
    checksummed = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
    assert credentials(checksummed) == credentials(checksummed.lower())


@pytest.mark.parametrize("vault", ["", "0x", "f1", "0x" + "f1" * 19, "0x" + "00" * 20, "0x" + "g1" * 20, "vault.eth"])
def test_credentials__no_address__refused(vault):
    with pytest.raises(DepositError, match=r"^vault: "):
        credentials(vault)


def test_credentials__mistyped_letter__refused():
    with pytest.raises(DepositError, match="checksum"):
        credentials("0xD8dA6BF26964aF9D7eEd9e03E53415D37aA96045")


# --- the real deposit contract ---

DEPOSIT_CONTRACT = "0x00000000219ab540356cbb839cbe05303d7705fa"
HOODI_CHAIN = 560048
DEPOSITOR = "0x" + "0d" * 20


class DepositContract:
    """The deposit contract's own bytecode, out of the Hoodi genesis in the npm package @ethereumjs/genesis."""

    def __init__(self) -> None:
        script = f"import('@ethereumjs/genesis').then(m => console.log(JSON.stringify(m.getGenesis({HOODI_CHAIN}))))"
        done = subprocess.run(["node", "-e", script], cwd=ROOT, check=True, capture_output=True)
        _, code, storage, _ = json.loads(done.stdout)[DEPOSIT_CONTRACT]
        self.evm = Evm()
        self.evm.revm.insert_account_info(DEPOSIT_CONTRACT, AccountInfo(code=bytes.fromhex(code[2:])))
        for slot, value in storage:
            self.evm.revm.insert_account_storage(DEPOSIT_CONTRACT, int(slot, 16), int(value, 16))
        self.evm.fund(DEPOSITOR, 10**6 * ETHER)

    def count(self) -> int:
        """Return how many deposits it has taken."""
        data = keccak(text="get_deposit_count()")[:4]
        [answer] = decode(["bytes"], bytes(self.evm.revm.message_call(DEPOSITOR, DEPOSIT_CONTRACT, data)))
        return int.from_bytes(answer, "little")

    def refusal(self, pubkey: bytes, credentials: bytes, signature: bytes, root: bytes, wei: int) -> str:
        """Send a deposit; return "" if it was taken, else the contract's reason."""
        arguments = encode(["bytes", "bytes", "bytes", "bytes32"], [pubkey, credentials, signature, root])
        data = keccak(text="deposit(bytes,bytes,bytes,bytes32)")[:4] + arguments
        try:
            self.evm.revm.message_call(DEPOSITOR, DEPOSIT_CONTRACT, data, wei, 10**6)
        except RuntimeError as error:
            output = bytes.fromhex(str(error).partition("output: 0x")[2].rstrip(" }"))
            return str(decode(["string"], output[4:])[0]).removeprefix("DepositContract: ")
        return ""


@pytest.fixture(scope="module")
def real_contract() -> DepositContract:
    return DepositContract()


@pytest.fixture
def contract(real_contract: DepositContract) -> Iterator[DepositContract]:
    with real_contract.evm.undone():
        yield real_contract


def test_deposit_contract__our_deposits__are_taken(contract, deposits):
    for number, one in enumerate(deposits):
        wei = one.amount * GWEI
        assert not contract.refusal(one.pubkey, one.withdrawal_credentials, one.signature, one.root, wei)
        assert contract.count() == number + 1
    assert contract.evm.balance(DEPOSIT_CONTRACT) == len(deposits) * ETHER


@pytest.mark.parametrize("amount_gwei", [10**9, 10**9 + 1, 32 * 10**9, 2048 * 10**9])
def test_deposit_contract__root_of_any_amount__is_the_one_it_computes(contract, amount_gwei):
    one = signed(0, amount_gwei=amount_gwei)
    fields = one.pubkey, one.withdrawal_credentials, one.signature
    assert contract.refusal(*fields, one.root, amount_gwei * GWEI) == ""
    other = signed(0, amount_gwei=amount_gwei + 1)
    assert "deposit_data_root" in contract.refusal(*fields, other.root, amount_gwei * GWEI)


MISMATCH = "reconstructed DepositData does not match supplied deposit_data_root"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "1 gwei below 1 ETH": ({"wei": ETHER - GWEI}, "deposit value too low"),
    "nothing": ({"wei": 0}, "deposit value too low"),
    "1 wei above 1 ETH": ({"wei": ETHER + 1}, "deposit value not multiple of gwei"),
    "half a gwei above 1 ETH": ({"wei": ETHER + GWEI // 2}, "deposit value not multiple of gwei"),
    "1 gwei above 1 ETH": ({"wei": ETHER + GWEI}, MISMATCH),
    "32 ETH": ({"wei": 32 * ETHER}, MISMATCH),
    "root of nothing": ({"root": bytes(32)}, MISMATCH),
    "pubkey of 47 bytes": ({"pubkey": signed(0).pubkey[:47]}, "invalid pubkey length"),
    "pubkey of 49 bytes": ({"pubkey": signed(0).pubkey + b"\x00"}, "invalid pubkey length"),
    "credentials of 31 bytes": ({"credentials": bytes(31)}, "invalid withdrawal_credentials length"),
    "credentials of 33 bytes": ({"credentials": bytes(33)}, "invalid withdrawal_credentials length"),
    "signature of 95 bytes": ({"signature": signed(0).signature[:95]}, "invalid signature length"),
    "signature of 97 bytes": ({"signature": signed(0).signature + b"\x00"}, "invalid signature length"),
    "another pubkey": ({"pubkey": signed(1).pubkey}, MISMATCH),
    "other credentials": ({"credentials": credentials(OUTSIDERS_VAULT)}, MISMATCH),
    "another signature": ({"signature": signed(1).signature}, MISMATCH),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
def test_bad_006_deposit_data__wrong_amount_length_or_root__refused_and_no_ether_moves(contract, change, reason):
    one = signed(0)
    good = {
        "pubkey": one.pubkey,
        "credentials": one.withdrawal_credentials,
        "signature": one.signature,
        "root": one.root,
        "wei": ETHER,
    }
    assert contract.refusal(**good | change) == reason
    assert contract.count() == 0
    assert contract.evm.balance(DEPOSIT_CONTRACT) == 0
    assert contract.refusal(**good) == ""


# --- files ---


def test_file__written_and_read__the_same_deposits(deposits, tmp_path):
    file = tmp_path / "deposit_data-1700000000.json"
    write(file, deposits, HOODI)
    assert [entry["fork_version"] for entry in read(file)] == ["10000910"] * COUNT
    write(file, deposits, MAINNET)
    assert check(read(file), MAINNET, VAULT, registry=None, beacon=None) == deposits


BAD_FILES = {
    "empty": (b"", "not JSON"),
    "text": (b"no json", "not JSON"),
    "cut off": (b'[{"pubkey": "ab', "not JSON"),
    "not text": (b"\xff\xfe\xfd", "not JSON"),
    "a field twice": (b'[{"amount": 1, "amount": 2}]', "a field is there twice"),
    "an object": (b'{"pubkey": "ab"}', "not a list of deposits"),
    "no deposits": (b"[]", "not a list of deposits"),
    "a number": (b"5", "not a list of deposits"),
    "far too deep": (b"[" * 100_000, "not JSON"),
    "far too long a number": (b"[" + b"9" * 5_000 + b"]", "not JSON"),
}


@pytest.mark.parametrize(("content", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_file__not_a_list_of_deposits__one_line(content, reason, tmp_path):
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(DepositError) as refused:
        read(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_file__missing_or_a_folder__one_line(tmp_path):
    with pytest.raises(DepositError, match="No such file"):
        read(tmp_path / "nothing.json")
    with pytest.raises(DepositError, match="directory"):
        read(tmp_path)


# --- checks ---

WRONG_ENTRIES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "32 ETH": (
        {"amount": 32 * GWEI},
        ["amount: 32000000000, must be 1000000000", "deposit_message_root: ", "deposit_data_root: ", "signature: not"],
    ),
    "below 1 ETH": (
        {"amount": GWEI - 1},
        ["amount: 999999999, must be", "deposit_message_root: ", "deposit_data_root: ", "signature: not"],
    ),
    "negative amount": ({"amount": -GWEI}, ["amount: -1000000000, must be"]),
    "amount beyond 8 bytes": ({"amount": 2**64}, ["amount: 18446744073709551616, must be"]),
    "amount with a fraction": ({"amount": 1e9}, ["amount: not a whole number"]),
    "amount as text": ({"amount": "1000000000"}, ["amount: not a whole number"]),
    "amount true": ({"amount": True}, ["amount: not a whole number"]),
    "message root": ({"deposit_message_root": "00" * 32}, ["deposit_message_root: not that of"]),
    "message root, short": ({"deposit_message_root": "00" * 31}, ["deposit_message_root: not that of"]),
    "data root": ({"deposit_data_root": "00" * 32}, ["deposit_data_root: not that of"]),
    "data root, none": ({"deposit_data_root": ""}, ["deposit_data_root: not that of"]),
    "fork version": ({"fork_version": "10000910"}, ["fork_version: 10000910, must be 00000000"]),
    "fork version, short": ({"fork_version": "000000"}, ["fork_version: 000000, must be 00000000"]),
    "network": ({"network_name": "hoodi"}, ["network_name: hoodi, must be mainnet"]),
    "network, null": ({"network_name": None}, ["network_name: not a text"]),
    "pubkey of 47 bytes": ({"pubkey": "ab" * 47}, ["pubkey: 47 bytes, must be 48"]),
    "pubkey of 49 bytes": ({"pubkey": "ab" * 49}, ["pubkey: 49 bytes, must be 48"]),
    "pubkey at infinity": (
        {"pubkey": INFINITY.hex()},
        ["pubkey: the point at infinity", "deposit_message_root: ", "deposit_data_root: "],
    ),
    "pubkey outside the group": (
        {"pubkey": WRONG_GROUP.hex()},
        ["pubkey: not a point of the group", "deposit_message_root: ", "deposit_data_root: "],
    ),
    "pubkey with 0x": ({"pubkey": "0x" + "ab" * 48}, ["pubkey: not hexadecimal"]),
    "pubkey with a space": ({"pubkey": "ab " * 32}, ["pubkey: not hexadecimal"]),
    "signature of 95 bytes": ({"signature": "ab" * 95}, ["signature: 95 bytes, must be 96"]),
    "signature at infinity": (
        {"signature": "c0" + "00" * 95},
        ["deposit_data_root: ", "signature: not that of this key under this deposit on mainnet"],
    ),
    "signature of half a byte more": ({"signature": "ab" * 96 + "a"}, ["signature: not hexadecimal"]),
    "credentials of 31 bytes": (
        {"withdrawal_credentials": "02" + "00" * 30},
        ["withdrawal_credentials: 02" + "00" * 30 + ", must be 02" + "00" * 11 + "f1" * 20],
    ),
    "a field too many": ({"account": "m/12381"}, ["account: no such field"]),
    "a field that writes to the terminal": ({"\x1b[2J\n": 1}, [r"\x1b[2J\n: no such field"]),
}


@pytest.mark.parametrize(("change", "expected"), WRONG_ENTRIES.values(), ids=WRONG_ENTRIES)
def test_check__one_wrong_field__named_with_what_it_spoils(entries, change, expected):
    entries[2] |= change
    found = problems(entries)
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(f"3 {start}")


@pytest.mark.parametrize("field", deposit.Entry.model_fields)
def test_check__missing_field__named(entries, field):
    del entries[0][field]
    assert problems(entries) == [f"1 {field}: missing"]


@pytest.mark.parametrize("entry", [None, 5, "deposit", [], [[]]], ids=repr)
def test_check__no_object__named(entries, entry):
    entries[1] = entry
    assert problems(entries) == ["2 not an object with the fields of a deposit"]


def test_check__signed_for_another_chain__refused(tmp_path):
    file = tmp_path / "deposit_data.json"
    write(file, [signed(0, network=HOODI)], MAINNET)
    assert problems(read(file)) == ["1 signature: not that of this key under this deposit on mainnet"]
    write(file, [signed(0, network=HOODI)], HOODI)
    assert check(read(file), HOODI, VAULT, registry=None, beacon=None) == [signed(0, network=HOODI)]


@pytest.mark.parametrize(
    "own",
    [
        credentials(OUTSIDERS_VAULT),
        b"\x01" + credentials(VAULT)[1:],
        b"\x00" + sha256(b"withdrawal key").digest()[1:],
        b"\x02" + b"\x01" + credentials(VAULT)[2:],
    ],
    ids=["another vault", "0x01", "0x00", "not zero between"],
)
def test_check__sound_deposit_with_other_credentials__refused(own, tmp_path):
    """The front-run of an operator begins with such a file: all is right in it but where the ETH goes."""
    theirs = sign_deposit(keys.signing_key(SEED, 0), own, PREDEPOSIT_GWEI, MAINNET.genesis_fork_version)
    write(tmp_path / "deposit_data.json", [theirs], MAINNET)
    found = problems(read(tmp_path / "deposit_data.json"))
    assert found == [f"1 withdrawal_credentials: {own.hex()}, must be {credentials(VAULT).hex()}"]


def test_check__sound_deposit_of_32_ether__refused(tmp_path):
    write(tmp_path / "deposit_data.json", [signed(0, amount_gwei=32 * GWEI)], MAINNET)
    entries = read(tmp_path / "deposit_data.json")
    assert problems(entries) == ["1 amount: 32000000000, must be 1000000000"]
    assert check(entries, MAINNET, VAULT, registry=None, beacon=None, amount_gwei=32 * GWEI)


def test_check__same_key_again__named_with_the_first(entries):
    entries += [entries[1], entries[1]]
    assert problems(entries) == ["6 pubkey: the same as in entry 2", "7 pubkey: the same as in entry 2"]


def test_check__same_key_in_other_case__is_the_same(entries):
    entries.append(entries[0] | {"pubkey": entries[0]["pubkey"].upper()})
    assert problems(entries) == ["6 pubkey: the same as in entry 1"]


def test_check__same_key_beside_a_malformed_field__found_too(entries):
    entries.append(entries[0] | {"amount": None})
    assert problems(entries) == ["6 amount: not a whole number", "6 pubkey: the same as in entry 1"]


def test_check__keys_that_somebody_knows__named_with_what_is_known(entries, deposits):
    asked: list[list[bytes]] = []

    def lookup(place: int, said: str) -> Any:
        def answer(pubkeys: Any) -> dict[bytes, str]:
            asked.append(list(pubkeys))
            return {deposits[place].pubkey: said, bytes(48): "of nobody"}

        return answer

    found = problems(entries, registry=lookup(0, "active"), beacon=lookup(3, "validator 12, credentials 01ab"))
    assert found == [
        "1 pubkey: the registry knows it: active",
        "4 pubkey: the beacon chain knows it: validator 12, credentials 01ab",
    ]
    assert asked == [[one.pubkey for one in deposits]] * 2


def test_check__lookup_fails__fails_too(entries):
    def dead(_: Any) -> Any:
        raise ConnectionError("no answer")

    with pytest.raises(ConnectionError):
        check(entries, MAINNET, VAULT, registry=None, beacon=dead)


def test_check__many_problems__all_at_once_in_the_order_of_the_file(entries, deposits):
    entries[0]["amount"] = "1"
    entries[0]["fork_version"] = "01017000"
    entries[1] = "deposit"
    entries[3]["signature"] = entries[2]["signature"]
    entries[4] = entries[2]
    known = {deposits[3].pubkey: "pending deposit"}
    with pytest.raises(DepositsRefused) as refused:
        check(entries, MAINNET, VAULT, registry=None, beacon=lambda _: known)
    first, third, fourth = (
        f"key {one.pubkey.hex()[:8]}...{one.pubkey.hex()[-8:]}" for one in deposits[:1] + deposits[2:4]
    )
    assert str(refused.value).splitlines() == [
        f"entry 1, {first}: amount: not a whole number",
        f"entry 1, {first}: fork_version: 01017000, must be 00000000",
        "entry 2, no key: not an object with the fields of a deposit",
        f"entry 4, {fourth}: deposit_data_root: not that of this deposit",
        f"entry 4, {fourth}: signature: not that of this key under this deposit on mainnet",
        f"entry 4, {fourth}: pubkey: the beacon chain knows it: pending deposit",
        f"entry 5, {third}: pubkey: the same as in entry 3",
    ]
    assert [problem.pubkey for problem in refused.value.problems][2:4] == ["", deposits[3].pubkey.hex()]


def test_check__progress__counts_to_the_end(entries):
    seen: list[int] = []
    check(entries, MAINNET, VAULT, registry=None, beacon=None, progress=seen.append)
    assert seen == list(range(1, COUNT + 1))


# --- calldata ---


def test_calldata__of_checked_deposits__keys_and_signatures_joined(deposits):
    data = predeposit_calldata(3, deposits)
    operator, pubkeys, signatures = decode(["uint256", "bytes", "bytes"], data[4:])
    assert operator == 3
    assert [pubkeys[i : i + 48] for i in range(0, len(pubkeys), 48)] == [one.pubkey for one in deposits]
    assert [signatures[i : i + 96] for i in range(0, len(signatures), 96)] == [one.signature for one in deposits]


def test_calldata__function_and_most_keys__as_in_the_registrys_interface():
    text = (ROOT / "interfaces" / "IValidatorRegistry.vyi").read_text(encoding="utf-8")
    declared = re.search(r"def predeposit\(\w+: (\w+), \w+: Bytes\[([\d_]+)\], \w+: Bytes\[([\d_]+)\]\):", text)
    assert declared
    most = deposit.MOST_PREDEPOSITS
    assert f"predeposit({declared[1]},bytes,bytes)" == deposit.PREDEPOSIT
    assert [int(length) for length in declared.groups()[1:]] == [48 * most, 96 * most]


@pytest.mark.parametrize("count", [0, deposit.MOST_PREDEPOSITS + 1])
def test_calldata__no_deposit_or_too_many__refused(deposits, count):
    with pytest.raises(ValueError, match="1 to 100"):
        predeposit_calldata(0, deposits[:1] * count)


# --- the command ---


class Node:
    """A beacon node of a few answers, on 127.0.0.1. Its state has one validator, and pending deposits."""

    def __init__(self, network: Network, validator: DepositData, *pending: DepositData) -> None:
        header = BeaconBlockHeader(slot=9, state_root=sha256(b"state").digest())
        fields = {
            "slot": "9",
            "proposer_index": "0",
            "parent_root": "0x" + "00" * 32,
            "state_root": "0x" + sha256(b"state").hexdigest(),
            "body_root": "0x" + "00" * 32,
        }
        state = "/eth/v1/beacon/states/0x" + sha256(b"state").hexdigest()
        self.answers: dict[str, Any] = {
            "/eth/v1/config/spec": {"CONFIG_NAME": network.name},
            "/eth/v1/beacon/genesis": {
                "genesis_time": "1",
                "genesis_validators_root": "0x" + "00" * 32,
                "genesis_fork_version": "0x" + network.genesis_fork_version.hex(),
            },
            "/eth/v1/beacon/headers/head": {
                "root": "0x" + header_root(header).hex(),
                "header": {"message": fields, "signature": "0x" + "00" * 96},
            },
            f"{state}/validators": [
                {
                    "index": "7",
                    "balance": "1000000000",
                    "status": "pending_initialized",
                    "validator": {
                        "pubkey": "0x" + validator.pubkey.hex(),
                        "withdrawal_credentials": "0x" + validator.withdrawal_credentials.hex(),
                        "effective_balance": "1000000000",
                        "slashed": False,
                        "activation_eligibility_epoch": str(2**64 - 1),
                        "activation_epoch": str(2**64 - 1),
                        "exit_epoch": str(2**64 - 1),
                        "withdrawable_epoch": str(2**64 - 1),
                    },
                }
            ],
            f"{state}/pending_deposits": [
                {
                    "pubkey": "0x" + one.pubkey.hex(),
                    "withdrawal_credentials": "0x" + one.withdrawal_credentials.hex(),
                    "amount": "1000000000",
                    "signature": "0x" + one.signature.hex(),
                    "slot": "5",
                }
                for one in pending
            ],
        }
        self.asked: list[bytes] = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                node.asked.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                known = self.path in node.answers
                body = json.dumps({"data": node.answers[self.path]} if known else {"message": "not here"}).encode()
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Node:
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def front_run(index: int, network: Network) -> DepositData:
    """Return an outsider's deposit for the key of validator `index`, with credentials of his own."""
    theirs = credentials(OUTSIDERS_VAULT)
    return sign_deposit(keys.signing_key(SEED, index), theirs, PREDEPOSIT_GWEI, network.genesis_fork_version)


DEVNET = Network(name="devnet", genesis_fork_version=bytes.fromhex("00000001"))


def command(*arguments: object) -> tuple[int, str]:
    """Run `ape floe deposits check`; return exit code and output."""
    done = CliRunner().invoke(cli, ["deposits", "check", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.fixture
def good_file(deposits: list[DepositData], tmp_path: Path) -> Path:
    write(tmp_path / "deposit_data-1.json", deposits, MAINNET)
    return tmp_path / "deposit_data-1.json"


def test_command__good_file__says_what_was_not_asked(good_file):
    code, output = command(good_file, "--vault", VAULT, "--network", "mainnet")
    assert code == 0
    assert "Nothing wrong in deposit_data-1.json" in output
    assert re.search(r"beacon chain +not asked", output)
    assert re.search(r"registry +not asked", output)


def test_command__bad_file__one_line_a_problem_and_exit_code_1(good_file):
    entries = read(good_file)
    entries[0]["amount"] = 1.5
    entries[3]["network_name"] = "[red]hoodi[/red]\x1b[2J"
    entries[4]["signature"] = entries[3]["signature"]
    good_file.write_text(json.dumps(entries))
    code, output = command(good_file, "--vault", VAULT, "--network", "mainnet")
    ends = [f"{entry['pubkey'][:8]}...{entry['pubkey'][-8:]}" for entry in entries]
    assert code == 1
    assert output.splitlines() == [
        f"1  {ends[0]}  amount: not a whole number",
        rf"4  {ends[3]}  network_name: [red]hoodi[/red]\x1b[2J, must be mainnet",
        f"5  {ends[4]}  deposit_data_root: not that of this deposit",
        f"5  {ends[4]}  signature: not that of this key under this deposit on mainnet",
        f"Error: {good_file}: problems in 3 of 5 deposits; send none of them",
    ]


def test_command__keys_that_the_beacon_chain_knows__refused_with_their_credentials(tmp_path):
    file = tmp_path / "deposit_data.json"
    write(file, [signed(index, network=DEVNET) for index in range(3)], DEVNET)
    with Node(DEVNET, front_run(2, DEVNET), front_run(1, DEVNET), signed(1, network=DEVNET)) as node:
        code, output = command(file, "--vault", VAULT, "--beacon", node.url)
    assert code == 1
    theirs = credentials(OUTSIDERS_VAULT).hex()
    lines = output.splitlines()
    assert len(lines) == 3
    assert lines[0].endswith(f"pubkey: the beacon chain knows it: a deposit is pending, to {theirs}")
    assert lines[1].endswith(f"pubkey: the beacon chain knows it: validator 7, pending_initialized, with {theirs}")
    assert "problems in 2 of 3 deposits" in lines[2]
    assert json.loads(max(node.asked)) == {"ids": [f"0x{signed(index).pubkey.hex()}" for index in range(3)]}


def test_command__keys_that_the_beacon_chain_does_not_know__right(tmp_path):
    file = tmp_path / "deposit_data.json"
    write(file, [signed(0, network=DEVNET)], DEVNET)
    with Node(DEVNET, front_run(2, DEVNET), front_run(1, DEVNET)) as node:
        code, output = command(file, "--vault", VAULT, "--beacon", node.url, "--network", "devnet")
    assert code == 0
    assert re.search(r"beacon chain +knows none of the keys", output)


def test_command__node_of_another_chain__refused(good_file):
    impostor = Network(name="mainnet", genesis_fork_version=DEVNET.genesis_fork_version)
    for network, name in ((HOODI, "mainnet"), (DEVNET, "mainnet"), (impostor, "mainnet"), (DEVNET, "othernet")):
        with Node(network, front_run(2, network), front_run(1, network)) as node:
            code, output = command(good_file, "--vault", VAULT, "--beacon", node.url, "--network", name)
        assert code == 1
        assert f"is on {network.name}, fork version {network.genesis_fork_version.hex()}, not on {name}" in output
    with Node(impostor, front_run(2, impostor), front_run(1, impostor)) as node:
        assert command(good_file, "--vault", VAULT, "--beacon", node.url)[0] == 1


def test_command__node_that_answers_no_question__one_line(good_file):
    with Node(MAINNET, front_run(2, MAINNET), front_run(1, MAINNET)) as node:
        for path in list(node.answers):
            answer = node.answers.pop(path)
            code, output = command(good_file, "--vault", VAULT, "--beacon", node.url)
            assert (code, output.count("\n")) == (1, 1), path
            assert "status 404: not here" in output
            node.answers[path] = answer


def test_command__what_it_is_told_is_wrong__one_line(good_file, tmp_path):
    good = {"--vault": VAULT, "--network": "mainnet"}
    with socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
        cases: list[tuple[Path, dict[str, str], str]] = [
            (tmp_path / "none.json", good, "No such file"),
            (tmp_path, good, "directory"),
            (good_file, good | {"--vault": "0x12"}, "vault: 0x12 is no address"),
            (
                good_file,
                good | {"--network": "mainet"},
                "network: 'mainet' is not known, name it with --network (mainnet",
            ),
            (good_file, {"--vault": VAULT}, "network: name it with --network"),
            (good_file, {"--network": "hoodi"}, "vault: name it with --vault"),
            (good_file, good | {"--beacon": dead}, "cannot be reached"),
            (good_file, good | {"--beacon": "node"}, "starts with http"),
        ]
        for file, options, reason in cases:
            code, output = command(file, *(word for option in options.items() for word in option))
            assert (code, output.count("\n")) == (1, 1), output
            assert output.startswith("Error: ")
            assert reason in output


def test_command__vault_of_the_deployment_record__taken(good_file, monkeypatch, tmp_path):
    deployed = record.Deployed(
        address=VAULT,
        transaction="0x",
        block=1,
        nonce=0,
        value=0,
        arguments=[],
        source_digest="",
        creation_digest="",
        runtime_digest="",
    )
    monkeypatch.setattr(record, "path", lambda network: tmp_path / f"{network}.json")
    written = record.Record(
        network="mainnet", chain_id=1, genesis="0x", deployer=VAULT, first_nonce=0, config_digest="", config={}
    )
    record.write(written, tmp_path / "mainnet.json")
    code, output = command(good_file, "--network", "mainnet")
    assert (code, output) == (1, "Error: WithdrawalVault is not deployed on mainnet yet: run `ape run deploy` again\n")
    record.write(written.having("WithdrawalVault", deployed), tmp_path / "mainnet.json")
    code, output = command(good_file, "--network", "mainnet")
    assert code == 0
    assert VAULT in output
