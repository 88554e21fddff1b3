"""ValidatorRegistry.predeposit: 1 ETH of the operator's bond for each new key, through the real deposit contract."""

from __future__ import annotations

import pytest

from floe.beacon.ssz import Tree, key_of
from floe.devnet.system_contracts import DEPOSIT_CONTRACT
from floe.model.beacon import GWEI_IN_ETHER
from tests.beacon import (
    COUNCIL,
    MANAGER,
    OTHER_MANAGER,
    State,
    Validators,
    deploy_registry,
    deposit_root,
    deposits,
    pubkey_of,
    signature_of,
)
from tests.evm import ETHER, Account, reverts
from tests.protocol import OUTSIDER

U48 = 2**48 - 1


def keys(*numbers: int) -> tuple[bytes, bytes]:
    """Return public keys and signatures, each joined."""
    return b"".join(map(pubkey_of, numbers)), b"".join(map(signature_of, numbers))


@pytest.mark.parametrize("count", [1, 2, 100])
def test_predeposit__new_keys__are_deposited_with_our_credentials(validators: Validators, count: int):
    evm, registry = validators.evm, validators.registry
    registry.predeposit(1, *keys(*range(count)), sender=MANAGER, value=count * ETHER)
    logged = registry.evm.events(registry, "Predeposited")
    found = deposits(evm)
    assert [deposit.pubkey for deposit in found] == [pubkey_of(number) for number in range(count)]
    assert [deposit.signature for deposit in found] == [signature_of(number) for number in range(count)]
    assert {(deposit.withdrawal_credentials, deposit.amount) for deposit in found} == {
        (b"\x02" + bytes(11) + bytes.fromhex(validators.vault.address[2:]), GWEI_IN_ETHER)
    }
    assert evm.balance(DEPOSIT_CONTRACT) == count * ETHER
    # The contract's own tree of them is that of the consensus specs.
    assert deposit_root(evm) == Tree(b"".join(deposit.root for deposit in found), 32, count).root
    assert [event.fields for event in logged] == [
        {"operator": 1, "key": key_of(pubkey_of(number))} for number in range(count)
    ]
    for number in range(count):
        v = registry.validator(key_of(pubkey_of(number)))
        assert (v.state, v.operator) == (State.PREDEPOSITED, 1)
        assert tuple(v[2:]) == (0,) * 6
    assert (registry.operator(1).open, registry.operator(1).bond, registry.operator(1).stake) == (count, 0, 0)
    assert registry.operator(2).open == 0


def test_predeposit__value__joins_the_bond_and_the_bond_pays(validators: Validators):
    registry = validators.registry
    registry.predeposit(1, *keys(1), sender=MANAGER, value=3 * ETHER)
    assert registry.operator(1).bond == 2 * GWEI_IN_ETHER
    assert registry.evm.events(registry, "BondChanged")[0].fields == {
        "operator": 1,
        "change": 2 * GWEI_IN_ETHER,
        "bond": 2 * GWEI_IN_ETHER,
    }
    registry.predeposit(1, *keys(2, 3), sender=MANAGER)
    assert registry.operator(1).bond == 0
    assert validators.evm.balance(registry) == 0
    with reverts("bond: too low"):
        registry.predeposit(1, *keys(4), sender=MANAGER)


def test_predeposit__pool__pays_nothing(validators: Validators):
    pool = validators.pool
    before = [pool.state(), validators.evm.balance(pool)]
    validators.predeposit(3)
    assert [pool.state(), validators.evm.balance(pool)] == before


@pytest.mark.parametrize("missing", [1, 10**9 - 1])
def test_predeposit__bond_short_of_a_gwei__reverts(validators: Validators, missing: int):
    registry = validators.registry
    registry.add_bond(1, sender=OUTSIDER, value=2 * ETHER - missing * 10**9)
    with reverts("bond: too low"):
        registry.predeposit(1, *keys(1, 2), sender=MANAGER)
    registry.predeposit(1, *keys(1, 2), sender=MANAGER, value=missing * 10**9)
    assert registry.operator(1).bond == 0


@pytest.mark.parametrize("value", [ETHER + 1, ETHER - 1, 2 * ETHER + 10**9 - 1])
def test_predeposit__value_not_in_whole_gwei__reverts(validators: Validators, value: int):
    with reverts("bond: not whole Gwei"):
        validators.registry.predeposit(1, *keys(1), sender=MANAGER, value=value)


def test_predeposit__bond_over_48_bits__reverts(validators: Validators):
    registry, evm = validators.registry, validators.evm
    evm.fund(MANAGER, 10**6 * ETHER)
    with reverts("operator: number too large"):
        registry.predeposit(1, *keys(1), sender=MANAGER, value=(U48 + 1) * 10**9 + ETHER)
    registry.predeposit(1, *keys(1), sender=MANAGER, value=U48 * 10**9 + ETHER)
    assert registry.operator(1).bond == U48
    validators.pubkeys[len(validators.beacon.validators)] = pubkey_of(1)
    validators.check()


@pytest.mark.parametrize("operator", [0, 2, 3, 2**16, 2**16 + 1, 2**256 - 1])
def test_predeposit__not_for_the_callers_operator__reverts(validators: Validators, operator: int):
    with reverts("caller: not the manager"):
        validators.registry.predeposit(operator, *keys(1), sender=MANAGER, value=ETHER)


@pytest.mark.parametrize("sender", ["council", "outsider", "other manager", "admin", "pool's manager of nothing"])
def test_predeposit__not_the_manager__reverts(validators: Validators, sender: str):
    callers: dict[str, Account] = {
        "council": COUNCIL,
        "outsider": OUTSIDER,
        "other manager": OTHER_MANAGER,
        "admin": validators.protocol.admin,
        "pool's manager of nothing": "0x" + "00" * 19 + "01",
    }
    with reverts("caller: not the manager"):
        validators.registry.predeposit(1, *keys(1), sender=callers[sender])


@pytest.mark.parametrize(
    ("pubkeys", "signatures"),
    [(0, 0), (0, 96), (47, 96), (49, 96), (48, 0), (48, 95), (48, 97), (48, 192), (96, 96), (95, 192), (96, 191)],
)
def test_bad_006_predeposit__wrong_lengths__revert_before_ether_moves(
    validators: Validators, pubkeys: int, signatures: int
):
    with reverts("keys: wrong length"):
        validators.registry.predeposit(1, b"\x0a" * pubkeys, b"\x0b" * signatures, sender=MANAGER, value=5 * ETHER)


def test_predeposit__more_than_a_hundred__reverts(validators: Validators):
    with reverts():
        validators.registry.predeposit(1, *keys(*range(101)), sender=MANAGER, value=101 * ETHER)


@pytest.mark.parametrize("operator", [1, 2])
def test_bad_004_predeposit__known_key__reverts_whoever_brings_it(validators: Validators, operator: int):
    """In every state, and with another signature too."""
    registry, manager = validators.registry, (MANAGER, OTHER_MANAGER)[operator - 1]
    predeposited, proven, compromised, slashed, gone = validators.predeposit(5)
    foreign = validators.predeposit(1, credentials=bytes(32))[0]
    active, exiting = validators.active(2)
    validators.prove(proven, foreign)
    validators.beacon.slash(slashed)
    validators.beacon.validators[compromised].credentials = bytes(32)
    validators.leave(gone)
    validators.withdraw(gone)
    validators.prove(compromised, slashed)
    validators.pull({exiting: 0})
    validators.close(gone)
    registry.set_operator(1, MANAGER, 100, 1_000, sender=COUNCIL)  # suspended by the slashing
    everything = {predeposited, proven, compromised, slashed, gone, foreign, active, exiting}
    assert set(validators.states(*everything)) == set(State) - {State.NONE}
    for index in everything:
        for new in (b"", pubkey_of(99)):
            with reverts("validator: known already"):
                registry.predeposit(
                    operator,
                    new + validators.keys(index),
                    b"".join(signature_of(n) for n in range(1 + bool(new))),
                    sender=manager,
                    value=2 * ETHER,
                )
    validators.check()


def test_bad_004_predeposit__key_twice_in_one_call__reverts(validators: Validators):
    with reverts("validator: known already"):
        validators.registry.predeposit(1, *keys(1, 2, 1), sender=MANAGER, value=3 * ETHER)


@pytest.mark.parametrize(("limit", "fits"), [(0, 0), (1, 1), (4, 4)])
def test_predeposit__limit_of_open_validators__is_inclusive(validators: Validators, limit: int, fits: int):
    registry = validators.registry
    registry.set_operator(1, MANAGER, 100, limit, sender=COUNCIL)
    with reverts("operator: over its limit"):
        registry.predeposit(1, *keys(*range(fits + 1)), sender=MANAGER, value=5 * ETHER)
    if fits:
        validators.predeposit(fits)
    with reverts("operator: over its limit"):
        registry.predeposit(1, *keys(99), sender=MANAGER, value=ETHER)
    # What another operator has open does not count.
    validators.predeposit(1, operator=2)


def test_predeposit__limit_lowered_below_what_is_open__lets_nothing_in_until_enough_are_closed(validators: Validators):
    registry = validators.registry
    indices = validators.predeposit(3)
    registry.set_operator(1, MANAGER, 100, 2, sender=COUNCIL)
    for index in indices[:2]:
        with reverts("operator: over its limit"):
            registry.predeposit(1, *keys(99), sender=MANAGER, value=ETHER)
        validators.beacon.validators[index].credentials = bytes(32)
        validators.prove(index)
    registry.predeposit(1, *keys(99), sender=MANAGER, value=ETHER)
    assert registry.operator(1).open == 2


def test_predeposit__no_code_at_the_deposit_contract__reverts(validators: Validators):
    """A call there would succeed, and the ETH would be gone."""
    registry = deploy_registry(validators.protocol, validators.beacon, deposit_contract=OUTSIDER)
    registry.add_operator(MANAGER, MANAGER, 1, 5, sender=COUNCIL)
    with reverts("deposit contract: no code"):
        registry.predeposit(1, *keys(1), sender=MANAGER, value=ETHER)
