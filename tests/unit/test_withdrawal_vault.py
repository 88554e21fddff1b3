"""WithdrawalVault.request: withdrawals and consolidations leave from here, for fees that somebody else pays."""

from __future__ import annotations

import pytest
from pyrevm import AccountInfo

from floe.devnet.system_contracts import CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS
from tests.beacon import (
    CONSOLIDATION,
    WITHDRAWAL,
    ConsolidationRequest,
    Validators,
    WithdrawalRequest,
    consolidation_requests,
    genesis,
    pubkey_of,
    raise_fee,
    withdrawal_requests,
)
from tests.evm import ETHER, ZERO, Account, Contract, Evm, reverts
from tests.protocol import GUARDIAN, ORACLE, OUTSIDER, RECEIVER, STAKER, Protocol

ANSWERS_ONE = "36600c5760015f5260205ff35b5f5ffd"
"""Code: without input it answers 1, with input it reverts."""
TAKES_ALL = "36600c5760015f5260205ff35b00"
"""Code: without input it answers 1, any input it takes."""


@pytest.fixture
def vault(validators: Validators) -> Contract:
    return validators.vault


@pytest.fixture
def evm(validators: Validators) -> Evm:
    return validators.evm


@pytest.fixture
def admin(validators: Validators) -> Contract:
    return validators.protocol.admin


@pytest.fixture
def caller(validators: Validators) -> Contract:
    """Return a wallet that holds the pool's registry role."""
    wallet = validators.protocol.wallet()
    pool = validators.pool
    pool.grantRole(pool.REGISTRY_ROLE(), wallet, sender=validators.protocol.admin)
    return wallet


def exits(count: int) -> list[bytes]:
    """Return payloads that ask for full exits."""
    return [pubkey_of(number) + bytes(8) for number in range(count)]


# --- what goes out ---


@pytest.mark.parametrize("count", [1, 2, 16])
def test_request__withdrawals__are_queued_as_the_vaults(evm: Evm, vault: Contract, caller: Contract, count: int):
    assert vault.request(WITHDRAWAL, exits(count), RECEIVER, sender=caller, value=ETHER) == count
    assert evm.events(vault)[0].fields == {"kind": WITHDRAWAL, "count": count, "fee": 1}
    assert withdrawal_requests(evm) == [WithdrawalRequest(vault.address, pubkey_of(n), 0) for n in range(count)]
    assert consolidation_requests(evm) == []


def test_request__consolidation__is_queued_as_the_vaults(evm: Evm, vault: Contract, caller: Contract):
    vault.request(CONSOLIDATION, [pubkey_of(1) + pubkey_of(2)], RECEIVER, sender=caller, value=1)
    assert consolidation_requests(evm) == [ConsolidationRequest(vault.address, pubkey_of(1), pubkey_of(2))]
    assert withdrawal_requests(evm) == []


def test_request__sixty_four__are_the_most(evm: Evm, vault: Contract, caller: Contract):
    with reverts():
        vault.request(WITHDRAWAL, exits(65), RECEIVER, sender=caller, value=ETHER)
    assert vault.request(WITHDRAWAL, exits(64), RECEIVER, sender=caller, value=ETHER) == 64
    assert sum(len(withdrawal_requests(evm)) for _ in range(4)) == 64


def test_request__nothing__gives_everything_back(evm: Evm, vault: Contract, caller: Contract):
    assert vault.request(WITHDRAWAL, [], RECEIVER, sender=caller, value=7) == 0
    assert evm.balance(RECEIVER) == 7
    assert withdrawal_requests(evm) == []


@pytest.mark.parametrize("kind", [WITHDRAWAL, CONSOLIDATION])
@pytest.mark.parametrize("more", [-1, 1])
def test_request__payload_of_another_length__is_refused_by_the_system_contract(
    vault: Contract, caller: Contract, kind: int, more: int
):
    length = {WITHDRAWAL: 56, CONSOLIDATION: 96}[kind] + more
    with reverts("request: refused"):
        vault.request(kind, [bytes(length)], RECEIVER, sender=caller, value=ETHER)


def test_request__empty_payload__is_refused_or_says_nothing(evm: Evm, vault: Contract, caller: Contract):
    """To the system contract it is the question for the fee, and that takes no ETH."""
    with reverts("request: refused"):
        vault.request(WITHDRAWAL, [b""], RECEIVER, sender=caller, value=ETHER)
    assert withdrawal_requests(evm) == []


# --- fees ---


@pytest.mark.parametrize("kind", [WITHDRAWAL, CONSOLIDATION])
def test_bad_088_fee__busy_queue__is_read_and_paid_for_each(evm: Evm, vault: Contract, caller: Contract, kind: int):
    assert vault.fee(kind) == 1
    raise_fee(evm, kind)
    fee = vault.fee(kind)
    assert fee > 500
    payloads = [bytes({WITHDRAWAL: 56, CONSOLIDATION: 96}[kind])] * 3
    system_contract = {WITHDRAWAL: WITHDRAWAL_REQUESTS, CONSOLIDATION: CONSOLIDATION_REQUESTS}[kind]
    before = evm.balance(system_contract)
    with reverts("request: fee over the limit"):
        vault.request(kind, payloads, RECEIVER, sender=caller, value=3 * fee - 1)
    assert vault.request(kind, payloads, RECEIVER, sender=caller, value=3 * fee + 11) == 3 * fee
    assert evm.balance(system_contract) - before == 3 * fee
    assert evm.balance(RECEIVER) == 11
    assert evm.balance(vault) == 0


def test_bad_088_request__exactly_the_fee__refunds_nobody(evm: Evm, vault: Contract, caller: Contract):
    """Not even a receiver that would refuse."""
    refuser = evm.deploy("EtherRefuser", 1)
    assert vault.request(WITHDRAWAL, exits(3), refuser, sender=caller, value=3) == 3
    with reverts("ether: send failed"):
        vault.request(WITHDRAWAL, exits(3), refuser, sender=caller, value=4)


def test_request__receiver_that_burns_its_gas__reverts(evm: Evm, vault: Contract, caller: Contract):
    with reverts("ether: send failed"):
        vault.request(WITHDRAWAL, exits(1), evm.deploy("EtherRefuser", 2), sender=caller, value=2)


@pytest.mark.parametrize("what", ["nobody", "vault", "pool"])
def test_bad_088_request__rest_to_where_it_would_be_lost__reverts(
    validators: Validators, vault: Contract, caller: Contract, what: str
):
    refused: dict[str, Account] = {"nobody": ZERO, "vault": vault, "pool": validators.pool}
    for value in (1, 2):
        with reverts("receiver: refused"):
            vault.request(WITHDRAWAL, exits(1), refused[what], sender=caller, value=value)


@pytest.mark.parametrize("value", [0, 1, 2])
def test_bad_088_request__vaults_own_ether__is_never_spent_nor_refunded(
    evm: Evm, vault: Contract, caller: Contract, value: int
):
    evm.force(vault, 5 * ETHER)
    if value < 2:
        with reverts("request: fee over the limit"):
            vault.request(WITHDRAWAL, exits(2), RECEIVER, sender=caller, value=value)
    else:
        vault.request(WITHDRAWAL, exits(2), RECEIVER, sender=caller, value=value)
    assert evm.balance(vault) == 5 * ETHER
    assert evm.balance(RECEIVER) == 0


def test_request__receiver_that_calls_back__is_locked_out(evm: Evm, vault: Contract, caller: Contract):
    evm.force(vault, 5 * ETHER)
    again = vault.encode("request", WITHDRAWAL, exits(1), RECEIVER)
    caller.react_with(vault, again, 1)
    vault.request(WITHDRAWAL, exits(1), caller, sender=caller, value=ETHER)
    assert [event.fields["success"] for event in evm.events(caller, "Reacted")] == [False]
    assert len(withdrawal_requests(evm)) == 1
    assert evm.balance(vault) == 5 * ETHER


# --- system contracts that do not work ---


def broken(evm: Evm) -> dict[str, str]:
    """Return what is named as a system contract, and how."""
    return {
        "nobody": ZERO,
        "no code": OUTSIDER,
        "reverts": evm.place("5f5ffd"),
        "answers nothing": evm.place("00"),
        "answers 31 bytes": evm.place("601f5ff3"),
        "refuses requests": evm.place(ANSWERS_ONE),
        "answers a huge fee": evm.place("36600c575f195f5260205ff35b5f5ffd"),
    }


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("nobody", "request: no system contract"),
        ("no code", "request: no system contract"),
        ("reverts", "request: fee not readable"),
        ("answers nothing", "request: fee not readable"),
        ("answers 31 bytes", "request: fee not readable"),
        ("refuses requests", "request: refused"),
        ("answers a huge fee", "request: fee over the limit"),
    ],
)
def test_bad_088_request__system_contract_that_does_not_work__reverts(
    evm: Evm, vault: Contract, caller: Contract, admin: Contract, how: str, reason: str
):
    vault.set_system_contract(WITHDRAWAL, broken(evm)[how], sender=admin)
    with reverts(reason):
        vault.request(WITHDRAWAL, exits(1), RECEIVER, sender=caller, value=ETHER)
    if reason in ("request: no system contract", "request: fee not readable"):
        with reverts(reason):
            vault.fee(WITHDRAWAL)


@pytest.mark.parametrize("kind", [0, 3, 2**256 - 1])
def test_request__kind_that_nobody_has_named__reverts(vault: Contract, caller: Contract, kind: int):
    with reverts("request: no system contract"):
        vault.request(kind, [b"\x01"], RECEIVER, sender=caller, value=ETHER)
    with reverts("request: no system contract"):
        vault.fee(kind)


def test_bad_088_request__before_the_fork_that_brings_it__reverts():
    """The queues are there and inhibited: they tell no fee. Without their code there is nothing to ask."""
    evm = Evm()
    protocol = Protocol(evm)
    wallet = protocol.wallet()
    protocol.pool.grantRole(protocol.pool.REGISTRY_ROLE(), wallet, sender=protocol.admin)
    vault = protocol.withdrawal_vault
    arguments = (WITHDRAWAL, exits(1), RECEIVER)
    with evm.undone(), reverts("request: no system contract"):
        vault.request(*arguments, sender=wallet, value=ETHER)

    evm = Evm()
    for account in genesis():
        evm.revm.insert_account_info(account.address, AccountInfo(code=bytes.fromhex(account.code[2:])))
        for slot, value in account.storage:
            evm.revm.insert_account_storage(account.address, int(slot, 16), int(value, 16))
    protocol = Protocol(evm)
    wallet = protocol.wallet()
    protocol.pool.grantRole(protocol.pool.REGISTRY_ROLE(), wallet, sender=protocol.admin)
    with reverts("request: fee not readable"):
        protocol.withdrawal_vault.request(*arguments, sender=wallet, value=ETHER)
    # The first block with it opens the queue.
    withdrawal_requests(evm)
    assert protocol.withdrawal_vault.request(*arguments, sender=wallet, value=ETHER) == 1


# --- who may ---


@pytest.mark.parametrize("sender", ["outsider", "admin", "oracle", "guardian", "pool's staker"])
def test_request__not_the_registry__reverts(vault: Contract, admin: Contract, sender: str):
    callers: dict[str, Account] = {
        "outsider": OUTSIDER,
        "admin": admin,
        "oracle": ORACLE,
        "guardian": GUARDIAN,
        "pool's staker": STAKER,
    }
    for kind in (WITHDRAWAL, CONSOLIDATION, 3):
        with reverts("caller: not the registry"):
            vault.request(kind, [], RECEIVER, sender=callers[sender])


def test_request__registry_that_was_replaced__may_no_longer(
    validators: Validators, vault: Contract, caller: Contract, admin: Contract
):
    pool = validators.pool
    pool.revokeRole(pool.REGISTRY_ROLE(), caller, sender=admin)
    with reverts("caller: not the registry"):
        vault.request(WITHDRAWAL, exits(1), RECEIVER, sender=caller, value=1)


@pytest.mark.parametrize("sender", ["outsider", "registry", "oracle", "guardian"])
def test_set_system_contract__not_the_admin__reverts(vault: Contract, caller: Contract, sender: str):
    callers: dict[str, Account] = {
        "outsider": OUTSIDER,
        "registry": caller,
        "oracle": ORACLE,
        "guardian": GUARDIAN,
    }
    with reverts("caller: not the admin"):
        vault.set_system_contract(WITHDRAWAL, RECEIVER, sender=callers[sender])


def test_set_system_contract__admin_who_passed_the_role_on__may_no_longer(
    validators: Validators, vault: Contract, caller: Contract, admin: Contract
):
    """The pool's roles are asked anew each time."""
    pool = validators.pool
    pool.grantRole(pool.DEFAULT_ADMIN_ROLE(), caller, sender=admin)
    pool.revokeRole(pool.DEFAULT_ADMIN_ROLE(), admin, sender=caller)
    with reverts("caller: not the admin"):
        vault.set_system_contract(3, RECEIVER, sender=admin)
    vault.set_system_contract(3, RECEIVER, sender=caller)
    assert vault.system_contract(3) == RECEIVER


# --- a later fork ---


def test_system_contracts__deployed__are_those_of_7002_and_7251(vault: Contract):
    assert vault.system_contract(WITHDRAWAL) == WITHDRAWAL_REQUESTS.lower()
    assert vault.system_contract(CONSOLIDATION) == CONSOLIDATION_REQUESTS.lower()
    assert vault.system_contract(0) == vault.system_contract(3) == ZERO


def test_request__kind_of_a_later_fork__goes_to_its_contract(
    evm: Evm, vault: Contract, caller: Contract, admin: Contract
):
    target = evm.place(TAKES_ALL)
    vault.set_system_contract(7, target, sender=admin)
    assert evm.events(vault)[0].fields == {"kind": 7, "system_contract": target}
    assert vault.fee(7) == 1
    assert vault.request(7, [b"\xff" * 256, b"\x01"], RECEIVER, sender=caller, value=5) == 2
    assert (evm.balance(target), evm.balance(RECEIVER)) == (2, 3)
    with reverts():
        vault.request(7, [b"\xff" * 257], RECEIVER, sender=caller, value=5)
    vault.set_system_contract(7, ZERO, sender=admin)
    with reverts("request: no system contract"):
        vault.request(7, [b"\x01"], RECEIVER, sender=caller, value=5)


def test_sweep__whatever_the_system_contracts_are__goes_on(
    evm: Evm, validators: Validators, vault: Contract, admin: Contract
):
    for kind in (WITHDRAWAL, CONSOLIDATION):
        vault.set_system_contract(kind, evm.place("5f5ffd"), sender=admin)
    evm.force(vault, 5 * ETHER)
    vault.receive(sender=OUTSIDER, value=1)
    validators.protocol.report(withdrawn=2 * ETHER)
    assert evm.balance(vault) == 3 * ETHER + 1
    with reverts("caller: not the pool"):
        vault.sweep(1, sender=admin)
