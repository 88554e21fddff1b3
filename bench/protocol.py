"""A deployed Floe that has been in use for a while: what all measurements start from.

Zeros are cheap: a first deposit, an empty queue or a rate of exactly 1 would flatter every number. So the protocol is
warmed up first: many holders, wrapped shares, tickets in every state, points on the curve, ETH with validators, gifts
and tips, a loss that was repaid, and a stream that is running.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from eth_abi import encode
from eth_abi.grammar import parse as parse_type
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from bench.node import Node, NodeError, Transaction
from floe import build
from floe.build import Artifact
from floe.deploy.config import load, parse
from floe.deploy.plan import plan
from floe.oracle.report import Oracle, Report, signable

ETHER = 10**18
GWEI = 10**9
HOUR = 3_600
DAY = 24 * HOUR
UNLIMITED = 2**256 - 1
SUBMIT = f"submit(({'uint256,' * 8}bytes32,bytes32),uint256,bytes)"

HOLDERS = 64
MEMBERS, QUORUM = 9, 5
"""Of the oracle's committee."""


@dataclass(frozen=True)
class Contract:
    """A deployed contract; functions are named by their full signature, such as "transfer(address,uint256)"."""

    address: str
    artifact: Artifact

    def data(self, signature: str, *arguments: Any) -> bytes:
        """Calldata. Raises KeyError when the contract has no such function."""
        selector = bytes.fromhex(self.artifact.method_ids[signature].removeprefix("0x").zfill(8))
        if signature.endswith("()"):
            return selector
        types = [part.to_type_str() for part in parse_type(signature[signature.index("(") :]).components]
        return selector + bytes(encode(types, arguments))

    def transaction(self, sender: str, signature: str, *arguments: Any, value: int = 0) -> Transaction:
        """Build a transaction of `sender` that carries `value` wei."""
        return Transaction(sender, self.address, self.data(signature, *arguments), value)


class Protocol:
    """The contracts, the accounts and the actions that measurements are made of."""

    def __init__(self, node: Node, seed: int, days: int = 6) -> None:
        """Deploy everything and use it for some days, each with a report and a fulfilment, by chance from `seed`."""
        self.node = node
        self.random = Random(seed)
        self.deployer = self.account()
        """Holds every role but the registry's."""
        self.outsider = self.account()
        self.holders = [self.account() for _ in range(HOLDERS)]
        self.members: list[LocalAccount] = [Account.from_key(self.random.randbytes(32)) for _ in range(MEMBERS)]
        self._deploy()
        self._warm_up(days)

    # --- chance ---

    def account(self) -> str:
        """Return a new account with ETH and without shares."""
        account = "0x" + self.random.randbytes(20).hex()
        self.node.endow([account], 10**6 * ETHER)
        return account

    def amount(self, least: float = 0.1, most: float = 100) -> int:
        """Random wei (or shares) between two numbers of ETH, small ones as likely as large ones."""
        wei = round(ETHER * math.exp(self.random.uniform(math.log(least), math.log(most))))
        return wei ^ self.random.getrandbits(16)  # a float leaves the last bits 0, and zeros are cheap

    def some(self, count: int) -> list[str]:
        """Different holders."""
        return self.random.sample(self.holders, count)

    # --- reading ---

    def read(self, contract: Contract, signature: str, *arguments: Any) -> tuple[int, ...]:
        """Words that a view returns."""
        return words(self.node.call(contract.address, contract.data(signature, *arguments)))

    def read_many(self, contract: Contract, signature: str, arguments: Sequence[int]) -> list[tuple[int, ...]]:
        """Words that a view of one number returns, for many numbers."""
        calls = [
            ("eth_call", [{"to": contract.address, "data": "0x" + contract.data(signature, one).hex()}, "latest"])
            for one in arguments
        ]
        return [words(bytes.fromhex(result[2:])) for result in self.node.batch(calls)]

    def tail(self) -> int:
        """Shares ever queued."""
        return self.read(self.queue, "tail()")[0]

    # --- acting ---

    def gas(self, transactions: Sequence[Transaction], seconds: int = 12) -> list[int]:
        """Gas of each transaction, all of them in one block."""
        return [receipt.gas for receipt in self.node.send(transactions, seconds)]

    def deposit(self, holder: str, wei: int) -> Transaction:
        """Stake `wei` for the holder himself."""
        return self.pool.transaction(holder, "deposit(uint256,address)", wei, holder, value=wei)

    def request(self, holder: str, shares: Sequence[int]) -> Transaction:
        """Queue several tickets of the holder at once."""
        return self.queue.transaction(holder, "request_many(uint256[],address)", list(shares), holder)

    def give(self, to: str, wei: int) -> Transaction:
        """Send plain ETH from outside the protocol."""
        return Transaction(self.outsider, to, value=wei)

    def report(
        self, gain: int = 0, tail: int | None = None, withdrawn: int = 0, pending_loss: int = 0, seconds: int = DAY
    ) -> Report:
        """Build the report of the frame that is the newest in `seconds`.

        Validators earned `gain` wei (lost, if negative) since the last report. `withdrawn` wei of them and all gifts
        must lie in the withdrawal vault. Exits up to the position `tail` become eligible, by default all.
        """
        _, _, away, _, _, flows, _, donated = self.read(self.pool, "state()")
        low = 2**96 - 1
        deposited, swept = flows & low, flows >> 96 & low
        gifts = self.node.balance(self.withdrawal_vault.address) - withdrawn
        genesis, seconds_per_slot, slots_per_epoch = self.config.beacon.clock()
        frame = self.config.oracle.limits.frame_epochs * slots_per_epoch
        return Report(
            ref_slot=(self.node.time + seconds - genesis) // seconds_per_slot // frame * frame,
            cl=(away & low) + gain - withdrawn,
            deposited_at_ref=deposited,
            withdrawn_at_ref=swept + withdrawn,
            donated_at_ref=donated + gifts,
            queue_tail_at_ref=self.tail() if tail is None else tail,
            pending_loss=pending_loss,
            raised_at_ref=flows >> 192,
            balances_root=self.random.randbytes(32),
            balances_hash=self.random.randbytes(32),
        )

    def submit(self, report: Report) -> Transaction:
        """Let a quorum of members, by chance, sign a report, and somebody bring it. What can be paid is paid."""
        places = sorted(self.random.sample(range(MEMBERS), QUORUM))
        message = signable(report, Oracle(self.config.chain_id, self.oracle.address))
        signatures = b"".join(self.members[place].sign_message(message).signature for place in places)
        bitmap = sum(1 << place for place in places)
        return self.oracle.transaction(self.outsider, SUBMIT, tuple(report), bitmap, signatures)

    def book(self, report: Report) -> Transaction:
        """Book a report in the name of the oracle contract: nothing is paid, so that this can be measured alone."""
        fields = tuple(report)[1:8]
        signature = "report((uint256,uint256,uint256,uint256,uint256,uint256,uint256))"
        return self.pool.transaction(self.oracle.address, signature, fields)

    def day(self, tail: int | None = None, gain: int | None = None, pending_loss: int = 0, *, pays: bool = True) -> int:
        """Let a day pass that ends in a report, by default with rewards of every kind. Returns the report's gas.

        With `pays`, what has become eligible is paid in the same transaction.
        """
        if gain is None:
            gain = self.amount(2, 3)
            withdrawn = self.amount(1, 2)
            self.node.send(
                [
                    self.give(self.execution_vault.address, self.amount(0.3, 0.6)),
                    self.give(self.withdrawal_vault.address, withdrawn + self.amount(0.01, 0.02)),
                ]
            )
        else:
            withdrawn = 0
        report = self.report(gain, tail, withdrawn, pending_loss)
        return self.gas([self.submit(report) if pays else self.book(report)], DAY)[0]

    def fulfil(self) -> Transaction:
        """Pay eligible exits."""
        return self.pool.transaction(self.outsider, "fulfil()")

    # --- set-up ---

    def _deploy(self) -> None:
        local = load("local").model_dump()
        committee = {"members": [member.address for member in self.members], "quorum": QUORUM}
        self.config = parse({**local, "oracle": local["oracle"] | committee})
        steps = plan(self.config, self.deployer, first_nonce=0)
        artifacts = build.load_many(step.contract for step in steps)
        creations = [
            Transaction(self.deployer, None, artifacts[step.contract].deploy_code(*step.arguments), step.value)
            for step in steps
        ]
        found: dict[str, Contract] = {}
        for step, receipt in zip(steps, self.node.send(creations), strict=True):
            if to_checksum_address(receipt.contract or "") != step.address:
                raise NodeError(f"{step.contract}: at {receipt.contract}, planned at {step.address}")
            found[step.contract] = Contract(step.address, artifacts[step.contract])
        self.contracts = found
        self.pool, self.queue, self.rebasing = (
            found[name] for name in ("FloePool", "WithdrawalQueue", "RebasingToken")
        )
        self.withdrawal_vault, self.execution_vault = found["WithdrawalVault"], found["ExecutionVault"]
        self.registry, self.oracle = found["ValidatorRegistry"], found["ReportOracle"]

    def _warm_up(self, days: int) -> None:
        node, pool, rebasing = self.node, self.pool, self.rebasing
        node.send([self.deposit(holder, self.amount(400, 1_000)) for holder in self.holders])
        node.send([pool.transaction(self.registry.address, "send_to_validators(uint256)", self.amount(10_000, 11_000))])
        node.send(
            [
                pool.transaction(holder, "approve(address,uint256)", rebasing.address, UNLIMITED)
                for holder in self.holders
            ]
        )
        for day in range(days):
            node.send(
                [rebasing.transaction(holder, "wrap(uint256)", self.amount(20, 40)) for holder in self.some(HOLDERS)]
            )
            node.send([self.request(holder, [self.amount(0.1, 2) for _ in range(3)]) for holder in self.some(HOLDERS)])
            # The day's last tickets wait, so the queue is never empty.
            tail = self.tail() - self.amount(20, 40)
            if day == 2:
                self.day(tail, gain=-self.amount(1, 2), pending_loss=self.amount(1, 2))
            else:
                self.day(tail)
            first = 3 * HOLDERS * day + 1
            paid = range(first, first + HOLDERS, 2)
            node.send([self.queue.transaction(self.outsider, "claim(uint256)", ticket) for ticket in paid])
        node.mine(6 * HOUR)
        assert self.read(pool, "locked()")[0] > 0
        assert self.read(pool, "deficit()")[0] == 0
        assert self.read(pool, "pending_loss()")[0] == 0
        assert self.read(pool, "entry_rate()")[0] > ETHER
        # Rewards withheld by the rise limit would change what a report does.
        assert node.balance(self.execution_vault.address) == 0


def words(data: bytes) -> tuple[int, ...]:
    """Split returned data into 256-bit numbers."""
    return tuple(int.from_bytes(data[i : i + 32], "big") for i in range(0, len(data), 32))
