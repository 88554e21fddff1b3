"""Floe deployed on a devnet, and the few who use it: every call is a signed transaction of a funded account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from eth_abi.abi import encode
from web3 import HTTPProvider, Web3
from web3.logs import DISCARD

from floe.beacon import deposit, keys
from floe.beacon.client import BeaconClient
from floe.beacon.proofs import Provable, provable
from floe.beacon.ssz import key_of
from floe.deploy import beacon as beacon_facts
from floe.deploy.config import load, parse
from floe.deploy.execute import describe
from floe.deploy.plan import plan
from floe.deploy.record import Record
from floe.devnet import Devnet
from floe.oracle.observer import Observer
from floe.oracle.report import Oracle, report_of, signable

GWEI = 10**9
ETHER = 10**18
GAS = 12_000_000
GENESIS_FORK_VERSION = bytes.fromhex("00000001")

DEPLOYER, STAKER, KEEPER, MANAGER, RIVAL, OUTSIDER = range(6)
"""Numbers of accounts. The deployer is also the council, and unless told otherwise the oracle's only member."""
SEED = b"keys of the validators in these tests"
PREDEPOSIT = GWEI
"""1 ETH in Gwei."""


class Validator(NamedTuple):
    """A validator of ours: its public key, and the SSZ root of it."""

    pubkey: bytes
    key: bytes


class World:
    """One devnet with the protocol on it, and an oracle of these members, by number, and this quorum."""

    def __init__(
        self, devnet: Devnet, members: Sequence[int] = (DEPLOYER,), quorum: int = 1, frame_epochs: int = 1
    ) -> None:
        self.devnet, self.members, self.quorum = devnet, members, quorum
        self.web3: Any = Web3(HTTPProvider(devnet.execution_url, request_kwargs={"timeout": 60}))
        self.client = BeaconClient(devnet.beacon_url)
        self.record = self._deploy(frame_epochs)
        """As `ape run deploy` would have written it."""
        self.observer = Observer(self.client, self.web3, self.pool.address, self.registry.address, self.oracle.address)
        self.credentials = deposit.credentials(self.vault.address)
        self._made = 0

    def _deploy(self, frame_epochs: int) -> Record:
        content = load("local").model_dump()
        content["beacon"] = beacon_facts.read(self.client).model_dump()
        content["roles"]["keepers"] = [self.address(KEEPER)]
        content["oracle"] |= {"members": [self.address(one) for one in self.members], "quorum": self.quorum}
        content["oracle"]["limits"]["frame_epochs"] = frame_epochs
        config = parse(content)
        deployer = self.address(DEPLOYER)
        record = Record(
            network="local",
            chain_id=config.chain_id,
            genesis=Web3.to_hex(self.web3.eth.get_block(0)["hash"]),
            deployer=deployer,
            first_nonce=self.web3.eth.get_transaction_count(deployer),
            config_digest=config.digest(),
            config=config.model_dump(),
        )
        steps = plan(config, deployer, record.first_nonce)
        for step in steps:
            inputs: list[Any] = next((e["inputs"] for e in step.artifact.abi if e["type"] == "constructor"), [])
            data = step.artifact.initcode + encode([_type(each) for each in inputs], step.arguments)
            receipt = self.send(DEPLOYER, None, data, step.value)
            digest, block = Web3.to_hex(receipt["transactionHash"]), receipt["blockNumber"]
            record = record.having(step.contract, describe(step, digest, block, self.web3))
        found = {step.contract: self.web3.eth.contract(step.address, abi=step.artifact.abi) for step in steps}
        self.pool, self.queue, self.registry, self.vault, self.oracle, self.splitter = (
            found[name]
            for name in (
                "FloePool",
                "WithdrawalQueue",
                "ValidatorRegistry",
                "WithdrawalVault",
                "ReportOracle",
                "FeeSplitter",
            )
        )
        return record

    # --- transactions ---

    def address(self, account: int) -> str:
        """Address of an account."""
        return str(self.devnet.account(account).address)

    def call(self, account: int, function: Any, value: int = 0) -> Any:
        """Send a contract call; return the receipt. It must succeed."""
        sender = {"from": self.address(account), "value": value}
        function.call({**sender, "gas": GAS})  # a refused call says why
        return self.send(account, function.address, bytes.fromhex(function._encode_transaction_data()[2:]), value)

    def send(self, account: int, to: str | None, data: bytes, value: int = 0) -> Any:
        """Send a transaction; the chain makes slots until it is in a block. It must succeed."""
        signer = self.devnet.account(account)
        fee = self.web3.eth.get_block("latest")["baseFeePerGas"]
        transaction: dict[str, Any] = {
            "chainId": self.devnet.settings.chain_id,
            "nonce": self.web3.eth.get_transaction_count(signer.address),
            "value": value,
            "data": data,
            "gas": GAS,
            "maxFeePerGas": 2 * fee + GWEI,
            "maxPriorityFeePerGas": GWEI,
        }
        if to is not None:
            transaction["to"] = to
        digest = self.web3.eth.send_raw_transaction(signer.sign_transaction(transaction).raw_transaction)
        if self.devnet.settings.execution != "anvil":
            self.devnet.advance(1)
        receipt = self.web3.eth.wait_for_transaction_receipt(digest, timeout=30, poll_latency=0.01)
        assert receipt["status"] == 1, f"the call to {to} failed"
        return receipt

    # --- validators ---

    def new_deposit(self) -> tuple[Validator, deposit.DepositData]:
        """Sign a predeposit with a new key, which the devnet will run."""
        self._made += 1
        data = self.sign_again(self.credentials)
        self.devnet.add_keys(secrets=[keys.signing_key(SEED, self._made)])
        return Validator(data.pubkey, key_of(data.pubkey)), data

    def sign_again(self, credentials: bytes) -> deposit.DepositData:
        """Sign a deposit of 1 ETH to these credentials with the last new key."""
        return deposit.sign_deposit(keys.signing_key(SEED, self._made), credentials, PREDEPOSIT, GENESIS_FORK_VERSION)

    def state_of(self, validator: Validator) -> Any:
        """Return the registry's record."""
        return self.registry.functions.validator(validator.key).call()

    def provable(self) -> Provable:
        """Return the newest state that can be proven; it is that of the newest block."""
        self.devnet.advance(1)
        return provable(self.client, self.web3)

    def prove(self, *validators: Validator) -> None:
        """Prove validators as they are now; an outsider does it."""
        proof = self.provable().prove([each.pubkey for each in validators])
        if len(validators) == 1:
            self.call(OUTSIDER, self.registry.functions.prove_one(*plain(proof.alone)))
        else:
            self.call(OUTSIDER, self.registry.functions.prove(plain(proof)))

    def top_up(self, amounts: dict[Validator, int]) -> None:
        """Top up validators, proven just now, with Gwei each; an outsider does it."""
        pubkeys = b"".join(each.pubkey for each in amounts)
        self.call(OUTSIDER, self.registry.functions.top_up(pubkeys, list(amounts.values())))

    # --- reports ---

    def report(self) -> Any:
        """Let the next frame begin, and report its first block at once; compare the books with it.

        As many members as the quorum sign, an outsider brings it. Returns the fields of `Reported`.
        """
        live, clock = self.oracle.functions.parameters().call(), self.oracle.functions.chain_constants().call()
        frame = live[0] * clock[2]
        self.devnet.advance(frame - self.devnet.slot % frame)
        report = report_of(self.observer.observe(self.devnet.slot))
        message = signable(report, Oracle(self.devnet.settings.chain_id, self.oracle.address))
        signing = self.members[: self.quorum]
        signatures = b"".join(self.devnet.account(one).sign_message(message).signature for one in signing)
        receipt = self.call(OUTSIDER, self.oracle.functions.submit(tuple(report), 2 ** len(signing) - 1, signatures))
        fields = self.pool.events.Reported().process_receipt(receipt, errors=DISCARD)[0]["args"]
        flows = self.pool.functions.state().call()[5]
        in_flight = flows % 2**96 - report.deposited_at_ref
        raised = ((flows >> 192) - report.raised_at_ref) * GWEI
        # What covers a pending loss is not booked as a gain, so the two sides agree once it is taken off.
        assert fields["outside"] - fields["pending_loss"] == report.cl + in_flight - report.pending_loss - raised
        assert self.web3.eth.get_balance(self.pool.address) == self.pool.functions.buffer().call()
        return fields


def plain(value: Any) -> Any:
    """Return tuples without the names of their fields, which web3 does not take."""
    return (
        type(value)(map(plain, value))
        if type(value) is list
        else (tuple(map(plain, value)) if isinstance(value, tuple) else value)
    )


def _type(entry: Any) -> str:
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(_type(each) for each in entry["components"]) + ")" + kind.removeprefix("tuple")
