"""The small beacon chain of the model lives through the same as the executable specs, slot by slot.

Exact, and compared in every slot: the registry of validators (credentials, effective balances, all epochs, slashings),
the three pending queues, finality, and every withdrawal to the Gwei. Balances are exact but for what attesting,
proposing and sync committees bring or cost: that is not modelled, so it is measured, must be small, must be nothing
before a validator is active, and is told to the model, after the block that brought it. So a reward can be late by one
block in two places: in what a validator with 0x01 is paid above 32 ETH, and in what is left for "all above 32 ETH".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from math import isqrt
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from floe.beacon.ssz import key_of
from floe.devnet import Devnet
from floe.devnet.rpc import RpcError
from floe.devnet.settings import CONFIG, STRANGER
from floe.devnet.system_contracts import CONSOLIDATION_REQUESTS, DEPOSIT_CONTRACT, WITHDRAWAL_REQUESTS
from floe.model.beacon import FAR_FUTURE, BeaconValidator
from floe.model.beacon_chain import BeaconChain, Limits, PendingPartial, Withdrawal

ETHER = 10**9
"""Gwei."""
OWNER, PASSER_BY, STRANGERS_ACCOUNT = 1, 2, -1
"""Accounts of the devnet: who owns our validators, who owns nothing, who owns those of the genesis."""
LIMITS = Limits(
    min_validator_withdrawability_delay=CONFIG["MIN_VALIDATOR_WITHDRAWABILITY_DELAY"],
    shard_committee_period=CONFIG["SHARD_COMMITTEE_PERIOD"],
    min_per_epoch_churn_limit=CONFIG["MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA"],
    max_per_epoch_activation_exit_churn_limit=CONFIG["MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT"],
    churn_limit_quotient=32,
    max_withdrawals_per_payload=4,
    max_validators_per_withdrawals_sweep=16,
    max_pending_partials_per_withdrawals_sweep=2,
    pending_partial_withdrawals_limit=64,
    pending_consolidations_limit=64,
)
"""Of the minimal preset, and what the devnet changes in it."""
EPOCH = 8
SLASHINGS_VECTOR = 64


@dataclass
class Both:
    """The devnet and the model beside it."""

    devnet: Devnet
    model: BeaconChain
    credentials: bytes
    source: bytes
    slashed: list[int] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    deposits: list[tuple[bytes, bytes, int, bool]] = field(default_factory=list)
    withdrawals: list[tuple[bytes, bytes, int]] = field(default_factory=list)
    consolidations: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    paid: list[Withdrawal] = field(default_factory=list)
    pubkeys: dict[int, bytes] = field(default_factory=dict)
    """By number of the key."""
    whistle: bool = False
    """The last block's proposer was rewarded for a slashing."""

    # --- what happens on both ---

    def deposit(self, number: int, credentials: bytes, amount: int, valid: bool = True) -> None:
        """Send a deposit past everybody; an invalid one is signed by another key."""
        data = self.devnet.deposit_data(number, credentials, amount)
        pubkey = self.pubkeys[number] = data["pubkey"]
        signature = data["signature"]
        if not valid:
            signature = self.devnet.deposit_data(number + 50, credentials, amount)["signature"]
        halves = sha256(signature[:64]).digest() + sha256(signature[64:] + bytes(32)).digest()
        right = sha256(amount.to_bytes(32, "little") + sha256(halves).digest()).digest()
        root = sha256(sha256(key_of(pubkey) + credentials).digest() + right).digest()
        arguments = encode(["bytes", "bytes", "bytes", "bytes32"], [pubkey, credentials, signature, root])
        selector = keccak(text="deposit(bytes,bytes,bytes,bytes32)")[:4]
        self.devnet.send(DEPOSIT_CONTRACT, selector + arguments, amount * ETHER)
        self.deposits.append((key_of(pubkey), credentials, amount, valid))

    def withdraw(self, pubkey: bytes, amount: int, account: int = OWNER, dropped: bool = False) -> None:
        """Ask for a withdrawal (EIP-7002); one that is dropped must be the first of its slot."""
        self.devnet.send(WITHDRAWAL_REQUESTS, pubkey + amount.to_bytes(8, "big"), 100, account)
        if dropped:
            self.devnet.drop_requests(1)
        else:
            self.withdrawals.append((self._address(account), key_of(pubkey), amount))

    def consolidate(self, source: bytes, target: bytes, account: int = OWNER) -> None:
        """Ask for a consolidation (EIP-7251)."""
        self.devnet.send(CONSOLIDATION_REQUESTS, source + target, 100, account)
        self.consolidations.append((self._address(account), key_of(source), key_of(target)))

    def slash(self, index: int) -> None:
        """Slash a validator in the next block."""
        self.devnet.slash([index])
        self.slashed.append(index)

    def exit(self, index: int) -> None:
        """Let a validator's operator exit it."""
        self.devnet.exit(index)
        self.exits.append(index)

    def index(self, number: int) -> int:
        """Return the index of the validator with a key."""
        found = self.model.find(key_of(self.pubkeys[number]))
        assert found is not None
        return found

    def _address(self, account: int) -> bytes:
        return bytes.fromhex(self.devnet.account(account).address[2:])

    # --- time, and comparing ---

    def advance(self, slots: int = 0, epochs: int = 0) -> None:
        """Make slots on both sides and compare after each."""
        for _ in range(slots + EPOCH * epochs):
            self._slot()

    def _slot(self) -> None:
        model, slot = self.model, self.devnet.advance(1)
        model.step(slot)
        try:
            block = self.devnet.beacon(f"/eth/v2/beacon/blocks/{slot}")["data"]["message"]
        except RpcError as error:
            assert error.code == 404
        else:
            self._block(block)
        self._compare_validators(slot)
        self._compare_queues(slot)

    def _block(self, block: dict[str, Any]) -> None:
        """Do in the model what a block does, in the order of process_block."""
        model = self.model
        listed = [
            Withdrawal(int(w["validator_index"]), bytes.fromhex(w["address"][2:]), int(w["amount"]))
            for w in block["body"]["execution_payload"]["withdrawals"]
        ]
        if model.slot % EPOCH == 0:
            # An epoch's reward that takes a validator with 0x01 above 32 ETH is paid out before anybody sees it.
            for w in listed:
                v = model.validators[w.validator_index]
                if v.credentials[0] == 1 and v.exit_epoch == FAR_FUTURE:
                    assert w.amount <= self._reward(v)
                    model.earn(w.validator_index, 32 * ETHER + w.amount - v.balance)
        paid = model.withdraw()
        assert paid == listed, f"slot {model.slot}"
        self.paid += paid
        for index in self.slashed:
            model.slash(index)
        for index in self.exits:
            assert model.exit(index)
        for deposit in self.deposits:
            model.deposit(*deposit)
        for withdrawal in self.withdrawals:
            model.request_withdrawal(*withdrawal)
        for consolidation in self.consolidations:
            model.request_consolidation(*consolidation)
        self.whistle = len(self.slashed) > 0
        for done in (self.slashed, self.exits, self.deposits, self.withdrawals, self.consolidations):
            done.clear()

    def _compare_validators(self, slot: int) -> None:
        model = self.model
        listed = self.devnet.beacon(f"/eth/v1/beacon/states/{slot}/validators")["data"]
        assert len(listed) == len(model.validators)
        for each, v in zip(listed, model.validators, strict=True):
            real = each["validator"]
            assert key_of(bytes.fromhex(real["pubkey"][2:])) == v.key
            assert real["withdrawal_credentials"] == "0x" + v.credentials.hex()
            shown = [int(real[name]) for name in EPOCHS]
            assert shown == [getattr(v, name) for name in EPOCHS], f"slot {slot}, validator {each['index']}"
            assert real["slashed"] == v.slashed
            assert int(real["effective_balance"]) == v.effective_balance, f"slot {slot}, validator {each['index']}"
            rest = int(each["balance"]) - v.balance
            if v.activation_epoch > model.epoch:
                assert rest == 0, f"slot {slot}, validator {each['index']}"
            most = self._reward(v) + (ETHER * 32 // 4_096 if self.whistle else 0)
            assert abs(rest) <= most, f"slot {slot}, validator {each['index']}: {rest} more than the rules say"
            model.earn(int(each["index"]), rest)
        self.whistle = False

    def _reward(self, v: BeaconValidator) -> int:
        """Return the most that an epoch's attestations and one block bring (or cost) a validator."""
        per_increment = ETHER * 64 // isqrt(self.model.total_active_balance(self.model.epoch))
        everybody = sum(each.effective_balance // ETHER for each in self.model.validators)
        # A proposer gets an eighth of what the attesters of a slot get, and sync committees get less.
        return per_increment * (v.effective_balance // ETHER + everybody // 40)

    def _compare_queues(self, slot: int) -> None:
        model, state = self.model, f"/eth/v1/beacon/states/{slot}"
        deposits = self.devnet.beacon(f"{state}/pending_deposits")["data"]
        assert [(key_of(bytes.fromhex(d["pubkey"][2:])), int(d["amount"]), int(d["slot"])) for d in deposits] == [
            (d.key, d.amount, d.slot) for d in model.pending_deposits
        ], f"slot {slot}"
        partials = self.devnet.beacon(f"{state}/pending_partial_withdrawals")["data"]
        real = [PendingPartial(*(int(p[name]) for name in PARTIAL)) for p in partials]
        assert len(real) == len(model.pending_partials), f"slot {slot}"
        for wanted, known in zip(real, model.pending_partials, strict=True):
            assert known._replace(amount=wanted.amount) == wanted, f"slot {slot}"
            # All that is above 32 ETH was asked for: what the same block brought before is part of it.
            late = self._reward(model.validators[wanted.validator_index])
            assert 0 <= wanted.amount - known.amount <= late, f"slot {slot}"
        model.pending_partials = real
        pairs = self.devnet.beacon(f"{state}/pending_consolidations")["data"]
        assert [(int(p["source_index"]), int(p["target_index"])) for p in pairs] == model.pending_consolidations
        finality = self.devnet.beacon(f"{state}/finality_checkpoints")["data"]
        assert int(finality["finalized"]["epoch"]) == model.finalized_epoch, f"slot {slot}"


PARTIAL = ("validator_index", "amount", "withdrawable_epoch")
EPOCHS = ("activation_eligibility_epoch", "activation_epoch", "exit_epoch", "withdrawable_epoch")


@pytest.fixture
def both() -> Iterator[Both]:
    with Devnet() as devnet:
        model = BeaconChain(
            devnet.genesis_time, devnet.settings.seconds_per_slot, EPOCH, SLASHINGS_VECTOR, limits=LIMITS
        )
        model.earliest_exit_epoch = model.earliest_consolidation_epoch = 1
        for each in devnet.beacon("/eth/v1/beacon/states/genesis/validators")["data"]:
            key = key_of(bytes.fromhex(each["validator"]["pubkey"][2:]))
            credentials = b"\2" + bytes(11) + bytes.fromhex(STRANGER[2:])
            model.validators.append(BeaconValidator(key, credentials, 32 * ETHER, 32 * ETHER, False, 0, 0))
        source = bytes.fromhex(devnet.account(OWNER).address[2:])
        yield Both(devnet, model, b"\2" + bytes(11) + source, source)


@pytest.mark.slow
def test_beacon_model__life_of_validators__is_that_of_the_specs(both: Both) -> None:
    ours, strangers = both.credentials, b"\1" + bytes(11) + bytes.fromhex(STRANGER[2:])
    one, two, old, stolen, nobody = 900, 901, 902, 903, 904
    both.advance(1)
    both.deposit(one, ours, 32 * ETHER)
    both.deposit(two, ours, ETHER)
    both.deposit(old, b"\1" + ours[1:], 40 * ETHER)
    both.deposit(stolen, strangers, ETHER)
    both.deposit(stolen, ours, 32 * ETHER)
    both.deposit(nobody, ours, 33 * ETHER, valid=False)
    both.advance(1)
    both.deposit(two, ours, 60 * ETHER, valid=False)  # of a known validator no signature is looked at
    both.devnet.miss(2)
    both.advance(slots=2, epochs=3)
    both.slash(2)
    both.advance(epochs=1)
    both.exit(3)
    both.advance(epochs=7)
    assert both.model.find(key_of(both.pubkeys[nobody])) is None
    assert both.model.validators[both.index(stolen)].credentials == strangers
    key_one, key_two, key_old = (both.pubkeys[number] for number in (one, two, old))
    v_one, v_two, v_old = (both.model.validators[both.index(number)] for number in (one, two, old))
    assert v_one.activation_epoch <= both.model.epoch < v_one.activation_epoch + LIMITS.shard_committee_period

    both.withdraw(key_one, 0)  # too young
    both.advance(1)
    assert v_one.exit_epoch == FAR_FUTURE
    grown_up = max(v.activation_epoch for v in (v_one, v_two, v_old)) + LIMITS.shard_committee_period
    both.advance(epochs=grown_up - both.model.epoch)
    both.withdraw(key_two, 5 * ETHER, dropped=True)
    both.withdraw(key_one, 0, account=PASSER_BY)
    both.advance(1)
    assert v_one.exit_epoch == FAR_FUTURE
    assert not both.model.pending_partials
    both.withdraw(key_two, 5 * ETHER)
    both.withdraw(key_two, 2_000 * ETHER)
    both.withdraw(key_two, 0)  # withdrawals are pending
    both.withdraw(key_one, 0)
    both.consolidate(key_old, key_old)  # 0x01 becomes 0x02
    both.advance(1)
    assert v_one.exit_epoch != FAR_FUTURE == v_two.exit_epoch
    assert len(both.model.pending_partials) == 2
    assert v_old.credentials == ours
    genesis = [
        bytes.fromhex(each["validator"]["pubkey"][2:])
        for each in both.devnet.beacon("/eth/v1/beacon/states/genesis/validators")["data"]
    ]
    both.deposit(one, ours, 3 * ETHER)  # waits until the validator is withdrawn
    both.consolidate(genesis[4], key_two, account=STRANGERS_ACCOUNT)
    both.consolidate(genesis[5], key_one, account=STRANGERS_ACCOUNT)  # is leaving
    both.advance(epochs=4)
    both.consolidate(key_old, key_two)
    both.advance(epochs=10)
    assert not both.model.pending_consolidations
    assert not both.model.pending_deposits
    assert not both.model.pending_partials
    assert v_old.balance < ETHER // 10
    received = [w.amount for w in both.paid if w.address == both.source and w.validator_index == both.index(one)]
    assert 32 * ETHER < received[0] < 33 * ETHER
    assert sum(received) > 35 * ETHER
    penalty_at = both.model.validators[2].withdrawable_epoch - SLASHINGS_VECTOR // 2
    assert both.model.epoch < penalty_at
    before = both.model.validators[2].balance
    both.advance(slots=EPOCH * (penalty_at + 1 - both.model.epoch))
    assert before - both.model.validators[2].balance > 3 * ETHER
