"""The fee splitter's transactions, as actions. A world with validators has one, which gets the pool's fees."""

from __future__ import annotations

from typing import Any

from floe.model.basics import Address
from floe.model.fee_splitter import Parts
from tests.stateful.actions import CALLS
from tests.stateful.validators import FEE_SPLITTER, ValidatorWorld
from tests.stateful.world import ADDRESS_WORD, Call


def _u(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _call(w: ValidatorWorld, sender: Address, signature: str, data: bytes, method: Any, arguments: Any) -> Call:
    paid = {w.splitter.treasury, FEE_SPLITTER, *(o.reward_address for o in w.registry.operators.values())}
    known = tuple(sorted(paid & ADDRESS_WORD.keys()))
    data = w.splitter_selectors[signature] + data
    return sender, FEE_SPLITTER, data, 0, w.whole(method), arguments, known, (), ()


def distribute(w: ValidatorWorld, sender: Address) -> Call:
    return _call(w, sender, "distribute()", b"", w.splitter.distribute, ())


def sync(w: ValidatorWorld, sender: Address, operator: int) -> Call:
    return _call(w, sender, "sync(uint256)", _u(operator), w.splitter.sync, (operator,))


def claim_fees(w: ValidatorWorld, sender: Address, operator: int) -> Call:
    return _call(w, sender, "claim(uint256)", _u(operator), w.splitter.claim, (operator,))


def cover_loss(w: ValidatorWorld, sender: Address, shares: int) -> Call:
    call = _call(w, sender, "cover_loss(uint256)", _u(shares), w.splitter.cover_loss, (sender, shares))
    return (*call[:7], (len(w.queue.ends),), ())


def set_parts(w: ValidatorWorld, sender: Address, treasury_bps: int, cover_bps: int) -> Call:
    arguments = (sender, Parts(treasury_bps, cover_bps))
    data = _u(treasury_bps) + _u(cover_bps)
    return _call(w, sender, "set_parts((uint256,uint256))", data, w.splitter.set_parts, arguments)


def set_treasury(w: ValidatorWorld, sender: Address, treasury: Address) -> Call:
    data = ADDRESS_WORD[treasury]
    return _call(w, sender, "set_treasury(address)", data, w.splitter.set_treasury, (sender, treasury))


def set_fee_registry(w: ValidatorWorld, sender: Address, registry: Address) -> Call:
    data = ADDRESS_WORD[registry]
    return _call(w, sender, "set_registry(address)", data, w.splitter.set_registry, (sender, registry))


FEE_CALLS = {
    function.__name__: function
    for function in (distribute, sync, claim_fees, cover_loss, set_parts, set_treasury, set_fee_registry)
}
CALLS |= FEE_CALLS
