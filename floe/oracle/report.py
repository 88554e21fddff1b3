"""The oracle's report: what the committee signs about a reference slot.

oracle = Oracle(chain_id, address)
report = report_of(observer.observe(ref_slot))
digest(report, oracle)               # what members sign (EIP-712), the same as `ReportOracle.digest(report)`
canonical(report, oracle)            # the same bytes for everybody who recomputes it
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from floe.oracle import balances
from floe.oracle.observer import Observation

NAME, VERSION = "Floe ReportOracle", "1"
"""Of the EIP-712 domain."""


class ReportError(Exception):
    """Something that is not a report. One line."""


class Oracle(NamedTuple):
    """Which oracle a report is for."""

    chain_id: int
    address: str


class Report(NamedTuple):
    """As `IReportOracle.Report`, in the same order. Wei, unless said otherwise."""

    ref_slot: int
    """The first slot of a frame."""
    cl: int
    deposited_at_ref: int
    withdrawn_at_ref: int
    donated_at_ref: int
    queue_tail_at_ref: int
    """Shares."""
    pending_loss: int
    raised_at_ref: int
    """Gwei."""
    balances_root: bytes
    """Of the Merkle-sum tree over all our validators (`floe.oracle.balances`)."""
    balances_hash: bytes
    """SHA-256 of the file that lists them."""

    def as_json(self) -> dict[str, str]:
        """Return the fields as text: numbers in decimal digits (JSON's are not exact), bytes as 0x and digits."""
        return {
            name: "0x" + value.hex() if isinstance(value, bytes) else str(value)
            for name, value in self._asdict().items()
        }

    def differences(self, there: Report) -> dict[str, dict[str, str]]:
        """Return the fields in which another report differs, as {name: {"here": ..., "there": ...}}."""
        pairs = zip(self.as_json().items(), there.as_json().values(), strict=True)
        return {name: {"here": mine, "there": theirs} for (name, mine), theirs in pairs if mine != theirs}

    @classmethod
    def from_json(cls, fields: object) -> Self:
        """Read what `as_json` wrote, and nothing else. Raises ReportError."""
        if not isinstance(fields, dict) or tuple(fields) != cls._fields:
            raise ReportError(f"a report has the fields {', '.join(cls._fields)}, in this order")
        values: list[int | bytes] = []
        for name, kind in TYPES.items():
            text = fields[name]
            try:
                value = int(text) if kind == "uint256" else bytes.fromhex(text[2:])
            except (OverflowError, TypeError, ValueError):  # Infinity, null, words
                raise ReportError(f"{name} is not a {kind}: {str(text)[:80]!r}") from None
            fits = 0 <= value < 2**256 if isinstance(value, int) else len(value) == 32
            if not fits or text != ("0x" + value.hex() if isinstance(value, bytes) else str(value)):
                raise ReportError(f"{name} is not a {kind} as it is to be written: {str(text)[:80]!r}")
            values.append(value)
        return cls(*values)  # type: ignore[arg-type]


TYPES = {name: "bytes32" if name.startswith("balances_") else "uint256" for name in Report._fields}
"""Of the fields, in Solidity's words."""


def report_of(seen: Observation) -> Report:
    """Return the report that follows from what was read."""
    return Report(
        seen.ref_slot,
        *seen.report,
        balances_root=balances.root(seen.indices, seen.balances_gwei),
        balances_hash=balances.file_hash(seen.indices, seen.balances_gwei),
    )


def typed_data(report: Report, oracle: Oracle) -> dict[str, Any]:
    """Return what is signed, as EIP-712 typed data that JSON can carry."""
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Report": [{"name": name, "type": kind} for name, kind in TYPES.items()],
        },
        "primaryType": "Report",
        "domain": {
            "name": NAME,
            "version": VERSION,
            "chainId": str(oracle.chain_id),
            "verifyingContract": to_checksum_address(oracle.address),
        },
        "message": report.as_json(),
    }


def signable(report: Report, oracle: Oracle) -> SignableMessage:
    """Return what is signed, as eth_account takes it."""
    data = typed_data(report, oracle)
    # The library takes numbers and bytes as such; the text is for others.
    data["domain"] |= {"chainId": oracle.chain_id}
    return encode_typed_data(full_message={**data, "message": report._asdict()})


def digest(report: Report, oracle: Oracle) -> bytes:
    """Return the hash that members sign: `ReportOracle.digest(report)`."""
    message = signable(report, oracle)
    return keccak(b"\x19" + message.version + message.header + message.body)


def canonical(report: Report, oracle: Oracle) -> bytes:
    """Return the report as bytes: one line of JSON, the same for everybody who recomputes it."""
    content: Mapping[str, Any] = {
        "chain_id": str(oracle.chain_id),
        "oracle": to_checksum_address(oracle.address),
        "report": report.as_json(),
        "digest": "0x" + digest(report, oracle).hex(),
    }
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def canonical_hash(report: Report, oracle: Oracle) -> bytes:
    """Return the SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical(report, oracle)).digest()
