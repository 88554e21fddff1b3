"""A ReportOracle on a `Protocol`: a committee with keys, a council, and reports that are signed in microseconds.

oracle = Oracle(protocol)                         # 3 of 5
report = oracle.report(gain=ETHER)                # an honest report of the newest frame
oracle.submit(report)                             # signed by the first three; True: it was booked
oracle.submit(report, signed=[0, 4], voted=[2])   # two signatures, and a standing vote
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from coincurve import PrivateKey
from eth_utils.crypto import keccak

from tests.evm import DAY, Account, Contract, address_of, reverts
from tests.protocol import Protocol

GENESIS_TIME = 1_606_824_023
"""Of the beacon chain: mainnet's, some three years before the first block of an `Evm`."""
SECONDS_PER_SLOT, SLOTS_PER_EPOCH = 12, 32
MAX_MEMBERS = 32
COUNCIL = "0x" + "0c" * 20
"""Decides on held reports."""
HELD_PAUSE_COOLDOWN = 7 * DAY

TYPE_HASH = keccak(
    text="Report(uint256 ref_slot,uint256 cl,uint256 deposited_at_ref,uint256 withdrawn_at_ref,"
    "uint256 donated_at_ref,uint256 queue_tail_at_ref,uint256 pending_loss,uint256 raised_at_ref,"
    "bytes32 balances_root,bytes32 balances_hash)"
)
DOMAIN_TYPE_HASH = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


class Limits(NamedTuple):
    """`IReportOracle.Parameters`."""

    frame_epochs: int
    max_age: int
    resolve_time: int
    loss_bps: int
    window_bps: int
    window: int
    alarm_bps: int


LIMITS = Limits(
    frame_epochs=225, max_age=DAY, resolve_time=DAY, loss_bps=100, window_bps=300, window=36 * DAY, alarm_bps=100
)
"""Daily reports on mainnet."""


class Report(NamedTuple):
    """`IReportOracle.Report`."""

    ref_slot: int
    cl: int
    deposited_at_ref: int
    withdrawn_at_ref: int
    donated_at_ref: int
    queue_tail_at_ref: int
    pending_loss: int
    raised_at_ref: int
    balances_root: bytes = b"\1" * 32
    balances_hash: bytes = b"\2" * 32


class Member:
    """A member of the committee with a key."""

    def __init__(self, number: int) -> None:
        self.key = PrivateKey(keccak(text=f"member {number}"))
        self.address = "0x" + keccak(self.key.public_key.format(compressed=False)[1:])[12:].hex()

    def sign(self, digest: bytes) -> bytes:
        """Return r, s and v, 65 bytes."""
        signed = self.key.sign_recoverable(digest, hasher=None)
        return signed[:64] + bytes([27 + signed[64]])


MEMBERS = [Member(number) for number in range(MAX_MEMBERS + 1)]
BY_ADDRESS = {member.address: member for member in MEMBERS}


class Oracle:
    """The contract, its committee and its council."""

    def __init__(
        self,
        protocol: Protocol,
        *,
        members: Iterable[Account] | int = 5,
        quorum: int = 3,
        limits: Limits = LIMITS,
        genesis_time: int = GENESIS_TIME,
    ) -> None:
        """Deploy it for a pool, which gives it its roles; `members` are accounts, or how many with keys."""
        self.protocol, self.evm, self.genesis_time = protocol, protocol.evm, genesis_time
        accounts = [m.address for m in MEMBERS[:members]] if isinstance(members, int) else list(members)
        chain = (genesis_time, SECONDS_PER_SLOT, SLOTS_PER_EPOCH)
        self.contract: Contract = self.evm.deploy(
            "ReportOracle", protocol.pool, protocol.admin, COUNCIL, accounts, quorum, chain, limits
        )
        pool = protocol.pool
        for role in (pool.ORACLE_ROLE(), pool.PAUSER_ROLE()):
            pool.grantRole(role, self.contract, sender=protocol.admin)

    # --- time ---

    @property
    def frame_slots(self) -> int:
        """Slots of a frame."""
        return int(self.contract.parameters().frame_epochs) * SLOTS_PER_EPOCH

    def slot(self, back: int = 0) -> int:
        """Return the newest reference slot, or the one `back` frames before."""
        now = (self.evm.now - self.genesis_time) // SECONDS_PER_SLOT
        return (now // self.frame_slots - back) * self.frame_slots

    def time(self, slot: int) -> int:
        """Return the time of a slot."""
        return self.genesis_time + slot * SECONDS_PER_SLOT

    def next_frame(self, frames: int = 1) -> None:
        """Let time pass until 600 seconds after the beginning of the next frame, or of a later one."""
        begins = self.time(self.slot() + frames * self.frame_slots)
        self.evm.travel(begins + 600 - self.evm.now)

    # --- reports ---

    def report(self, gain: int = 0, *, slot: int | None = None, **fields: Any) -> Report:
        """Build an honest report of the newest frame; arguments are those of `Protocol.next_report`."""
        return Report(self.slot() if slot is None else slot, *self.protocol.next_report(gain, **fields))

    def digest(self, report: Report, *, chain_id: int = 1, contract: Account | None = None) -> bytes:
        """Return what members sign: EIP-712, worked out here."""
        address = bytes.fromhex(address_of(contract or self.contract)[2:])
        domain = keccak(
            DOMAIN_TYPE_HASH
            + keccak(text="Floe ReportOracle")
            + keccak(text="1")
            + chain_id.to_bytes(32)
            + address.rjust(32, b"\0")
        )
        words = (field if isinstance(field, bytes) else field.to_bytes(32) for field in report)
        return keccak(b"\x19\x01" + domain + keccak(TYPE_HASH + b"".join(words)))

    def signatures(self, digest: bytes, places: Iterable[int]) -> tuple[int, bytes]:
        """Let the members at these places, who have keys, sign. Returns bitmap and signatures for `submit`."""
        ordered, members = sorted(places), self.contract.members()
        signed = b"".join(BY_ADDRESS[members[place]].sign(digest) for place in ordered)
        return sum(1 << place for place in ordered), signed

    def submit(
        self, report: Report, signed: Iterable[int] = (0, 1, 2), *, voted: Iterable[int] = (), **options: Any
    ) -> bool:
        """Let members vote and sign, and submit. Returns whether the report was booked."""
        digest = self.digest(report)
        for place in voted:
            self.contract.vote(place, digest, sender=self.contract.members()[place])
        return bool(self.contract.submit(report, *self.signatures(digest, signed), **options))

    def refuses(self, report: Report, reason: str) -> None:
        """Demand that a report which all have signed is refused, and that `preview` refuses it as well."""
        for call in (lambda: self.submit(report, range(5)), lambda: self.contract.preview(report)):
            with reverts(reason):
                call()

    def hold(self, **fields: Any) -> Report:
        """Submit a report that loses 3 % of the assets, or as told, and is therefore held."""
        self.next_frame()
        loss = (self.protocol.pool.state()[0] >> 96 & 2**96 - 1) * 3 // 100
        report = self.report(**{"gain": -loss} | fields)
        assert not self.submit(report)
        return report

    def set_limits(self, **changes: int) -> None:
        """Change some of the limits."""
        now = Limits(*self.contract.parameters())
        self.contract.set_parameters(now._replace(**changes), sender=self.protocol.admin)

    def paused_until(self) -> tuple[int, int, int]:
        """Return the ends of the pauses of deposits, fulfilments and instant exits."""
        limits = self.protocol.lens.protocol().limits
        return limits.deposit_paused_until, limits.fulfil_paused_until, limits.instant_exit_paused_until
