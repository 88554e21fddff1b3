"""The oracle's transactions, as actions: reports with signatures and votes, the council's and the admin's part.

A report is a list of its fields. A signature is who signed, and how: "good", "high s" (the same, mirrored), "other"
(good, but of another report), "invalid" (no such `v`) or "short" (a byte is missing).
"""

from __future__ import annotations

from functools import lru_cache

from coincurve import PrivateKey

from floe.model import Signature
from floe.model.basics import ZERO, Address
from floe.model.oracle import FrameReport, OracleParameters
from tests.stateful.actions import CALLS, ORDER_OF_CURVE
from tests.stateful.world import (
    ADDRESS_WORD,
    MEMBER_KEYS,
    MEMBERS,
    ORACLE_ROLE_IDS,
    REPORT_ORACLE,
    STAKER_KEYS,
    STAKERS,
    Call,
    World,
    digest_of,
    encode_report,
)

KEYS: dict[Address, PrivateKey] = dict(zip((*MEMBERS, *STAKERS), (*MEMBER_KEYS, *STAKER_KEYS), strict=True))
"""Accounts that sign with a key. Others sign as the contracts that they are (contracts/mocks/Reenterer.vy)."""
VALID = frozenset(("good", "high s"))
"""Forms of a signature that count."""

_REPORT = "(" + ",".join(["uint256"] * 8 + ["bytes32"] * 2) + ")"
_SUBMIT = f"submit({_REPORT},uint256,bytes)"
_ACCEPT = f"accept({_REPORT})"
DIGEST, PREVIEW = f"digest({_REPORT})", f"preview({_REPORT})"


def _u(number: int) -> bytes:
    return number.to_bytes(32, "big")


@lru_cache(maxsize=1_024)
def _sign(signer: Address, report: FrameReport, form: str) -> bytes:
    digest = digest_of(report)
    size = 64 if form == "short" else 65
    if signer not in KEYS:
        return (_u(digest ^ (form not in VALID)) + bytes(33))[:size]
    digest ^= form == "other"
    signature: bytes = KEYS[signer].sign_recoverable(_u(digest), hasher=None)
    s, v = int.from_bytes(signature[32:64], "big"), 27 + signature[64]
    if form == "high s":
        s, v = ORDER_OF_CURVE - s, 55 - v
    return (signature[:32] + _u(s) + bytes([29 if form == "invalid" else v]))[:size]


def _meant(signer: Address, report: FrameReport, form: str) -> Signature | None:
    if form == "short":
        return None
    if signer not in KEYS:
        return Signature(signer, report if form in VALID else None)
    return Signature(signer, report if form != "other" else None, valid=form != "invalid")


def submit(w: World, sender: Address, fields: list[int], signers: int, signatures: list[list[str]]) -> Call:
    report = FrameReport(*fields)
    raw = b"".join([_sign(signer, report, form) for signer, form in signatures])
    data = w.oracle_selectors[_SUBMIT] + encode_report(report) + _u(signers) + _u(384)
    data += _u(len(raw)) + raw + bytes(-len(raw) % 32)
    arguments = (report, signers, [_meant(signer, report, form) for signer, form in signatures])
    return sender, REPORT_ORACLE, data, 0, w.oracle.submit, arguments, (w.pool.fee_recipient,), (), ()


def vote(w: World, sender: Address, place: int, fields: list[int]) -> Call:
    report = FrameReport(*fields)
    data = w.oracle_selectors["vote(uint256,bytes32)"] + _u(place) + _u(digest_of(report))
    return sender, REPORT_ORACLE, data, 0, w.oracle.vote, (sender, place, report), (), (), ()


def accept(w: World, sender: Address, fields: list[int]) -> Call:
    report = FrameReport(*fields)
    data = w.oracle_selectors[_ACCEPT] + encode_report(report)
    return sender, REPORT_ORACLE, data, 0, w.oracle.accept, (sender, report), (w.pool.fee_recipient,), (), ()


def reject(w: World, sender: Address, fields: list[int]) -> Call:
    report = FrameReport(*fields)
    data = w.oracle_selectors["reject(bytes32)"] + _u(digest_of(report))
    return sender, REPORT_ORACLE, data, 0, w.oracle.reject, (sender, report), (), (), ()


def set_committee(w: World, sender: Address, members: list[Address], quorum: int) -> Call:
    data = w.oracle_selectors["set_committee(address[],uint256)"] + _u(64) + _u(quorum) + _u(len(members))
    data += b"".join([ADDRESS_WORD[member] for member in members])
    return sender, REPORT_ORACLE, data, 0, w.oracle.set_committee, (sender, members, quorum), (), (), ()


def remove_member(w: World, sender: Address, place: int) -> Call:
    data = w.oracle_selectors["remove_member(uint256)"] + _u(place)
    return sender, REPORT_ORACLE, data, 0, w.oracle.remove_member, (sender, place), (), (), ()


def set_limits(w: World, sender: Address, *numbers: int) -> Call:
    """`numbers` are the fields of `OracleParameters`."""
    data = w.oracle_selectors[f"set_parameters(({','.join(['uint256'] * 7)}))"] + b"".join(map(_u, numbers))
    arguments = (sender, OracleParameters(*numbers))
    return sender, REPORT_ORACLE, data, 0, w.oracle.set_parameters, arguments, (), (), ()


def change_oracle_role(w: World, sender: Address, how: str, role: str, account: Address) -> Call:
    """`how` is "grant", "revoke" or "renounce"."""
    data = w.oracle_selectors[f"{how}Role(bytes32,address)"] + ORACLE_ROLE_IDS[role] + ADDRESS_WORD[account]
    return sender, REPORT_ORACLE, data, 0, getattr(w.oracle.roles, how), (sender, role, account), (), (), ()


def agreed(w: World) -> tuple[int, list[list[str]]]:
    """Return the bitmap and the good signatures of as many members as must agree."""
    places = [place for place, member in enumerate(w.oracle.members) if member != ZERO][: w.oracle.quorum]
    return sum(1 << place for place in places), [[w.oracle.members[place], "good"] for place in places]


ORACLE_CALLS = {
    function.__name__: function
    for function in (
        submit, vote, accept, reject, set_committee, remove_member, set_limits, change_oracle_role,
    )
}  # fmt: skip
CALLS |= ORACLE_CALLS
