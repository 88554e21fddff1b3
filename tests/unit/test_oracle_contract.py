"""ReportOracle: what it was given, which reports it takes, what a report does, its parameters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from tests.evm import DAY, ETHER, Contract, Evm, RevertError, reverts
from tests.oracle import COUNCIL, GENESIS_TIME, LIMITS, MEMBERS, Oracle, Report
from tests.protocol import FULFIL, GUARDIAN, GWEI, OUTSIDER, STAKER, U96, Protocol

ROLE = "access_control: account is missing role"
BOUNDS = "parameter: out of bounds"
HOUR = 3_600


# --- deployment ---


def test_oracle__deployed__has_what_it_was_given(oracle: Oracle, protocol: Protocol):
    contract = oracle.contract
    assert contract.members() == [member.address for member in MEMBERS[:5]]
    assert (contract.quorum(), contract.pool()) == (3, protocol.pool.address)
    assert contract.parameters() == LIMITS
    assert contract.chain_constants() == (GENESIS_TIME, 12, 32)
    assert contract.last() == (0, 0, 0, 0, 0)
    assert contract.pending() == (bytes(32), 0)
    assert [contract.votes(place) for place in range(5)] == [bytes(32)] * 5
    assert contract.eip712Domain()[1:5] == ("Floe ReportOracle", "1", 1, contract.address)


def test_oracle__deployed__only_admin_and_council_have_roles(oracle: Oracle, protocol: Protocol):
    contract = oracle.contract
    admin, council = contract.DEFAULT_ADMIN_ROLE(), contract.COUNCIL_ROLE()
    assert contract.hasRole(admin, protocol.admin) and contract.hasRole(council, COUNCIL)
    for account in (protocol.admin, COUNCIL, OUTSIDER, "0x" + "d0" * 20, MEMBERS[0].address):
        assert contract.hasRole(admin, account) == (account is protocol.admin)
        assert contract.hasRole(council, account) == (account == COUNCIL)
    assert contract.supportsInterface(bytes.fromhex("7965db0b"))
    assert contract.getRoleAdmin(council) == admin


def test_oracle__deployed__says_so(evm: Evm, protocol: Protocol):
    chain = (GENESIS_TIME, 12, 32)
    contract = evm.deploy("ReportOracle", protocol.pool, protocol.admin, COUNCIL, [OUTSIDER], 1, chain, LIMITS)
    (committee,) = evm.events(contract, "CommitteeSet")
    (parameters,) = evm.events(contract, "ParametersSet")
    assert committee.fields == {"members": [OUTSIDER], "quorum": 1}
    assert parameters.fields == {"parameters": LIMITS}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"admin": OUTSIDER}, "admin: not a contract"),
        ({"quorum": 2}, "committee: no majority"),
        ({"members": [OUTSIDER] * 4}, "committee: wrong members"),
        ({"limits": LIMITS._replace(max_age=0)}, BOUNDS),
    ],
)
def test_oracle__deployed_wrongly__reverts(evm: Evm, protocol: Protocol, change: dict[str, Any], reason: str):
    given = {"admin": protocol.admin, "members": [m.address for m in MEMBERS[:4]], "quorum": 3, "limits": LIMITS}
    admin, members, quorum, limits = (given | change).values()
    with reverts(reason):
        evm.deploy("ReportOracle", protocol.pool, admin, COUNCIL, members, quorum, (GENESIS_TIME, 12, 32), limits)


def test_pool__deployed__gives_its_oracle_the_brake_too(protocol: Protocol):
    pool = Protocol(Evm(), oracle=OUTSIDER).pool
    for role in (pool.ORACLE_ROLE(), pool.PAUSER_ROLE()):
        assert pool.hasRole(role, OUTSIDER)
    assert not protocol.pool.hasRole(pool.PAUSER_ROLE(), OUTSIDER)


# --- what is signed ---


def test_digest__any_report__is_that_of_eip_712(oracle: Oracle):
    report = Report(*range(10**18, 10**18 + 8), keccak(text="root"), keccak(text="hash"))  # type: ignore[call-arg]
    fields = [
        {"name": name, "type": "bytes32" if name.startswith("balances") else "uint256"} for name in report._fields
    ]
    contract = oracle.contract
    domain = {"name": "Floe ReportOracle", "version": "1", "chainId": 1, "verifyingContract": contract.address}
    message = encode_typed_data(domain, {"Report": fields}, report._asdict())
    assert contract.digest(report) == keccak(b"\x19" + message.version + message.header + message.body)
    assert contract.digest(report) == oracle.digest(report)


@pytest.mark.parametrize("field", Report._fields)
def test_digest__one_field_differs__differs(oracle: Oracle, field: str):
    report = oracle.report()
    value = getattr(report, field)
    changes: dict[str, Any] = {field: value + 1 if isinstance(value, int) else keccak(value)}
    changed = report._replace(**changes)
    assert oracle.contract.digest(changed) != oracle.contract.digest(report)
    with reverts("committee: wrong signature"):
        oracle.contract.submit(changed, *oracle.signatures(oracle.digest(report), range(3)))


# --- submit ---


def test_submit__inside_the_limits__is_booked_as_the_pools_report(evm: Evm, oracle: Oracle, protocol: Protocol):
    """The same report through the role account leaves the same books."""
    oracle.next_frame()
    report = oracle.report(gain=ETHER // 50)
    with evm.undone():
        protocol.report(gain=ETHER // 50)
        expected = (protocol.pool.state(), evm.events(protocol.pool, "Reported")[0].fields)
    assert oracle.submit(report, sender=OUTSIDER)
    assert (protocol.pool.state(), evm.events(protocol.pool, "Reported")[0].fields) == expected
    assert oracle.contract.last() == (
        report.ref_slot,
        report.deposited_at_ref // GWEI * GWEI,
        report.withdrawn_at_ref // GWEI * GWEI,
        report.queue_tail_at_ref >> 31 << 31,
        0,
    )
    assert oracle.contract.pending() == (bytes(32), 0)


def test_submit__booked__says_what_was_agreed(evm: Evm, oracle: Oracle):
    oracle.next_frame()
    report = oracle.report(gain=-ETHER // 3)
    oracle.submit(report)
    (event,) = evm.events(oracle.contract)
    assert (event.name, event.fields) == (
        "Applied",
        {
            "ref_slot": report.ref_slot,
            "digest": oracle.digest(report),
            "balances_root": report.balances_root,
            "balances_hash": report.balances_hash,
        },
    )


def test_submit__exits_wait__are_paid_in_the_same_transaction(evm: Evm, oracle: Oracle, protocol: Protocol):
    ticket = protocol.request(5 * ETHER)
    later = protocol.queue.tail()
    protocol.request(3 * ETHER)
    oracle.next_frame()
    assert oracle.submit(oracle.report(tail=later))
    paid = protocol.queue.claimable(ticket)
    assert paid == evm.events(protocol.pool, "Fulfilled")[0].fields["assets"] > 5 * ETHER
    assert (protocol.pool.eligible(), protocol.pool.balanceOf(protocol.queue)) == (0, 3 * ETHER)


@pytest.mark.parametrize("why", ["nobody waits", "paused", "too little"])
def test_submit__nothing_can_be_paid__the_report_stands(evm: Evm, oracle: Oracle, protocol: Protocol, why: str):
    if why == "paused":
        protocol.request(5 * ETHER)
        protocol.pool.pause(FULFIL, evm.now + 2 * DAY, sender=GUARDIAN)
    if why == "too little":
        protocol.request(100 * ETHER)
        protocol.to_validators(protocol.pool.stakeable())
        protocol.report()
        protocol.pool.fulfil()
        assert protocol.pool.eligible() > 0
    oracle.next_frame()
    report = oracle.report()
    assert oracle.submit(report)
    assert evm.events(oracle.contract, "Applied") and not evm.events(protocol.pool, "Fulfilled")
    assert oracle.contract.last().ref_slot == report.ref_slot


@pytest.mark.parametrize("way", ["submit", "accept"])
def test_submit_and_accept__little_gas__do_all_or_nothing(evm: Evm, oracle: Oracle, protocol: Protocol, way: str):
    """Nobody books a report and spares the exits: what the fulfilment needs must be left, and more."""
    protocol.request(5 * ETHER)
    oracle.next_frame()
    report = oracle.report(gain=ETHER // 100 if way == "submit" else -10 * ETHER)
    signed = oracle.signatures(oracle.digest(report), range(3))
    if way == "accept":
        assert not oracle.contract.submit(report, *signed)

    def book(gas: int) -> None:
        if way == "submit":
            oracle.contract.submit(report, *signed, gas=gas)
        else:
            oracle.contract.accept(report, sender=COUNCIL, gas=gas)

    before = protocol.pool.state()
    with evm.undone():
        book(1_000_000)
        after = protocol.pool.state()
    seen = set()
    for gas in range(100_000, 600_000, 4_000):
        with evm.undone():
            try:
                book(gas)
            except RevertError as error:
                assert error.reason in ("", "report: too little gas") or error.reason.startswith("halt")
                assert protocol.pool.state() == before
                seen.add(error.reason)
                refused = gas
            else:
                assert protocol.pool.state() == after
                assert evm.events(protocol.pool, "Fulfilled")
                seen.add("done")
    assert {"report: too little gas", "done"} <= seen
    with reverts("report: too little gas"):
        book(refused)


def test_submit__the_pool_does_not_know_the_oracle__reverts(oracle: Oracle, protocol: Protocol):
    """After its replacement, the old oracle can do nothing: neither book nor pause."""
    pool = protocol.pool
    oracle.next_frame()
    pool.revokeRole(pool.ORACLE_ROLE(), oracle.contract, sender=protocol.admin)
    with reverts(ROLE):
        oracle.submit(oracle.report())
    pool.revokeRole(pool.PAUSER_ROLE(), oracle.contract, sender=protocol.admin)
    with reverts(ROLE):
        oracle.submit(oracle.report(gain=-100 * ETHER))


# --- reference slots ---


@pytest.mark.parametrize("off", [-1, 1, 32, 3_600])
def test_submit__slot_does_not_begin_a_frame__reverts(oracle: Oracle, off: int):
    oracle.next_frame(2)
    oracle.refuses(oracle.report(slot=oracle.slot(1) + off), "report: not at a frame")


@pytest.mark.parametrize("slot", [2**40 // 7_200 * 7_200 + 7_200, 2**250 // 7_200 * 7_200])
def test_submit__slot_over_40_bits__reverts(oracle: Oracle, slot: int):
    oracle.refuses(oracle.report(slot=slot), "report: not at a frame")


def test_submit__last_slot_that_fits__is_merely_in_the_future(oracle: Oracle):
    oracle.refuses(oracle.report(slot=(2**40 - 1) // 7_200 * 7_200), "report: not yet")


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_submit__at_the_reference_slot__not_before(evm: Evm, oracle: Oracle, seconds: int):
    slot = oracle.slot() + 7_200
    evm.travel(oracle.time(slot) + seconds - evm.now)
    if seconds < 0:
        oracle.refuses(oracle.report(slot=slot), "report: not yet")
    else:
        assert oracle.submit(oracle.report(slot=slot))


@pytest.mark.parametrize("max_age", [DAY, 5 * HOUR])
@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_submit__as_old_as_may_be__not_older(evm: Evm, oracle: Oracle, seconds: int, max_age: int):
    oracle.set_limits(max_age=max_age)
    oracle.next_frame()
    slot = oracle.slot()
    evm.travel(oracle.time(slot) + max_age + seconds - evm.now)
    report = oracle.report(slot=slot)
    if seconds > 0:
        oracle.refuses(report, "report: too old")
    else:
        assert oracle.submit(report)


@pytest.mark.parametrize("frames", [-1, 0, 1])
def test_submit__frame_of_the_last_report__only_later_ones(oracle: Oracle, frames: int):
    oracle.set_limits(max_age=DAY, frame_epochs=15)
    oracle.next_frame()
    first = oracle.slot()
    assert oracle.submit(oracle.report())
    oracle.next_frame(2)
    report = oracle.report(gain=7, slot=first + frames * oracle.frame_slots)
    if frames <= 0:
        oracle.refuses(report, "report: not newer")
    else:
        assert oracle.submit(report)


def test_submit__slot_zero__is_never_new(evm: Evm, protocol: Protocol):
    """On the first day of a beacon chain there is nothing to report yet."""
    oracle = Oracle(protocol, genesis_time=evm.now)
    oracle.refuses(oracle.report(slot=0), "report: not newer")
    oracle.next_frame()
    assert oracle.submit(oracle.report())


def test_submit__before_genesis__reverts(evm: Evm, protocol: Protocol):
    oracle = Oracle(protocol, genesis_time=evm.now + DAY)
    oracle.refuses(oracle.report(slot=7_200), "report: not yet")


# --- counters ---


@pytest.fixture
def busy(oracle: Oracle, protocol: Protocol, evm: Evm) -> Oracle:
    """Return an oracle that has booked a report in which no counter is zero."""
    evm.fund(protocol.withdrawal_vault, 9 * ETHER)
    protocol.raise_pending_loss(3 * 10**6)
    protocol.request(2 * ETHER)
    oracle.next_frame()
    assert oracle.submit(oracle.report(withdrawn=4 * ETHER, donated=ETHER))
    protocol.request(ETHER)
    oracle.next_frame()
    return oracle


@pytest.mark.parametrize(
    ("field", "unit"), [("deposited_at_ref", GWEI), ("withdrawn_at_ref", GWEI), ("queue_tail_at_ref", 2**31)]
)
@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_counters__below_the_last_report__refused(busy: Oracle, field: str, unit: int, steps: int):
    """They are remembered in Gwei, positions in the queue in 2**31 shares: no lie is worth what is below."""
    last = getattr(busy.contract.last(), field.split("_")[1 if field.startswith("queue") else 0])
    assert last > 0
    report = busy.report()._replace(**{field: last + steps * unit})
    if field == "withdrawn_at_ref":
        # What is not said to have been withdrawn is still with the validators.
        report = report._replace(cl=report.cl - steps * unit)
    if steps < 0:
        busy.refuses(report, "report: a counter fell")
    elif field == "deposited_at_ref" and steps > 0:
        busy.refuses(report, "report: deposits ahead of pool")
    else:
        assert busy.submit(report)


def test_counters__remembered__are_rounded_down(busy: Oracle, protocol: Protocol):
    last = busy.contract.last()
    flows = protocol.pool.state()[5]
    assert 0 <= (flows & U96) - last.deposited < GWEI and last.deposited % GWEI == 0
    assert 0 <= (flows >> 96 & U96) - last.withdrawn < GWEI
    assert last.tail == 2 * ETHER >> 31 << 31


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("deposited_at_ref", "report: deposits ahead of pool"),
        ("raised_at_ref", "report: raises ahead of pool"),
        ("queue_tail_at_ref", "report: tail ahead of queue"),
        ("withdrawn_at_ref", "report: ahead of the vault"),
        ("donated_at_ref", "report: ahead of the vault"),
    ],
)
def test_counters__ahead_of_the_chain__refused(
    busy: Oracle, protocol: Protocol, evm: Evm, field: str, reason: str, more: int
):
    words = protocol.pool.state()
    withdrawn, donated = words[5] >> 96 & U96, words[7]
    room = evm.balance(protocol.withdrawal_vault)
    assert room > 0
    known = {
        "deposited_at_ref": words[5] & U96,
        "raised_at_ref": words[5] >> 192,
        "queue_tail_at_ref": protocol.queue.tail(),
        "withdrawn_at_ref": withdrawn + room,
        "donated_at_ref": donated + room,
    }
    report = busy.report()._replace(**{field: known[field] + more})
    if field == "withdrawn_at_ref":
        report = report._replace(cl=report.cl - room - more)
    if more:
        busy.refuses(report, reason)
    else:
        assert busy.submit(report)


def test_counters__donations_fell__reverts(busy: Oracle):
    assert busy.protocol.pool.state()[7] > 0
    busy.refuses(busy.report(donated=-1), "report: donations fell")


def test_counters__both_together_ahead_of_the_vault__reverts(busy: Oracle, evm: Evm):
    half = evm.balance(busy.protocol.withdrawal_vault) // 2
    report = busy.report(withdrawn=half, donated=half)
    report = report._replace(donated_at_ref=report.donated_at_ref + 2)
    busy.refuses(report, "report: ahead of the vault")


# --- preview ---


@pytest.mark.parametrize("gain", [-20 * ETHER, -ETHER, 0, 7, ETHER // 7, 60 * ETHER])
@pytest.mark.parametrize("pending", [0, 2 * ETHER])
def test_preview__any_report__is_what_submitting_it_does(oracle: Oracle, protocol: Protocol, gain: int, pending: int):
    protocol.raise_pending_loss(10**9)
    oracle.next_frame()
    report = oracle.report(gain=gain, pending_loss=pending)
    loss, backlog, inside = oracle.contract.preview(report)
    assert loss == max(0, pending - ETHER - gain)
    assert backlog == max(0, gain - pending - oracle.contract.headroom().rise)
    assert oracle.submit(report) is inside


# --- parameters ---

GOOD = {
    "frame_epochs": (1, 7 * 225),
    "max_age": (HOUR, DAY),
    "resolve_time": (HOUR, DAY),
    "loss_bps": (10, 300),
    "window_bps": (100, 3_000),
    "window": (7 * DAY, 90 * DAY),
    "alarm_bps": (10, 1_000),
}


@pytest.mark.parametrize("field", GOOD)
def test_set_parameters__at_each_bound__and_one_beyond(evm: Evm, oracle: Oracle, protocol: Protocol, field: str):
    least, most = GOOD[field]
    for value in (least, most):
        wanted = LIMITS._replace(**{field: value})
        oracle.contract.set_parameters(wanted, sender=protocol.admin)
        assert oracle.contract.parameters() == wanted
        assert evm.events(oracle.contract)[0].fields == {"parameters": wanted}
    for value in (least - 1, most + 1):
        with reverts(BOUNDS):
            oracle.contract.set_parameters(LIMITS._replace(**{field: value}), sender=protocol.admin)
    assert oracle.contract.parameters() == LIMITS._replace(**{field: most})


def test_set_parameters__largest_loss__needs_a_window_that_takes_it(oracle: Oracle, protocol: Protocol):
    for loss, window, good in ((1_000, 1_000, True), (1_000, 999, False), (1_001, 3_000, False)):
        wanted = LIMITS._replace(loss_bps=loss, window_bps=window)
        if good:
            oracle.contract.set_parameters(wanted, sender=protocol.admin)
        else:
            with reverts(BOUNDS):
                oracle.contract.set_parameters(wanted, sender=protocol.admin)


@pytest.mark.parametrize(("max_age", "good"), [(2 * DAY - HOUR, True), (2 * DAY - HOUR + 1, False), (2**255, False)])
def test_set_parameters__age_and_time_to_resolve__two_days_together(
    oracle: Oracle, protocol: Protocol, max_age: int, good: bool
):
    wanted = LIMITS._replace(max_age=max_age, resolve_time=HOUR)
    if good:
        oracle.contract.set_parameters(wanted, sender=protocol.admin)
    else:
        with reverts(BOUNDS):
            oracle.contract.set_parameters(wanted, sender=protocol.admin)


def test_set_parameters__in_the_middle_of_a_frame__the_new_frames_count(oracle: Oracle):
    oracle.next_frame()
    assert oracle.submit(oracle.report())
    oracle.evm.travel(8 * HOUR)
    oracle.set_limits(frame_epochs=75)
    report = oracle.report()
    assert report.ref_slot % 7_200 == 2_400
    assert oracle.submit(report)
    oracle.set_limits(frame_epochs=225)
    oracle.refuses(oracle.report(slot=oracle.slot() + 2_400), "report: not at a frame")
    oracle.next_frame()
    assert oracle.submit(oracle.report())


def test_set_parameters__by_somebody_else__reverts(oracle: Oracle):
    for sender in (OUTSIDER, COUNCIL, MEMBERS[0].address):
        with reverts(ROLE):
            oracle.contract.set_parameters(LIMITS, sender=sender)


def test_headroom__any_time__is_the_five_formulas(evm: Evm, oracle: Oracle, protocol: Protocol):
    protocol.report(gain=-2 * ETHER)
    assert protocol.pool.deficit() == 2 * ETHER
    evm.travel(DAY)
    protocol.raise_pending_loss(3 * 10**9)
    totals, _, _, past, *_ = protocol.pool.state()
    assets = totals >> 96 & U96
    rise = assets * 1_000 * (evm.now - (past >> 96 & 2**40 - 1)) // (10_000 * 365 * DAY)
    assert oracle.contract.headroom() == (
        rise,
        rise + assets // 100 + 32 * ETHER + 2 * ETHER,
        assets // 100,
        assets * 3 // 100,
        3 * ETHER,
    )


def test_ether__sent_to_it__is_refused(oracle: Oracle):
    with reverts():
        oracle.contract.receive(sender=STAKER, value=1)


def test_members__hold_no_other_power(oracle: Oracle, pool: Contract):
    """A member alone can vote, and nothing else: neither here nor at the pool."""
    member, contract = MEMBERS[0].address, oracle.contract
    for call in (
        lambda: contract.set_committee([member], 1, sender=member),
        lambda: contract.remove_member(1, sender=member),
        lambda: contract.accept(oracle.report(), sender=member),
        lambda: contract.reject(bytes(32), sender=member),
        lambda: pool.report(oracle.report()[1:8], sender=member),
        lambda: pool.pause(FULFIL, 0, sender=member),
    ):
        with reverts(ROLE):
            call()
    contract.vote(0, b"\7" * 32, sender=member)
    assert asdict(oracle.evm.events(contract)[0])["fields"] == {"member": member, "digest": b"\7" * 32}


def test_submit__least_gas_with_which_it_succeeds__pays_exits(evm: Evm, oracle: Oracle, protocol: Protocol):
    """A node's estimate of gas is what it takes not to revert: so that must be enough for the exits, too."""
    protocol.request(5 * ETHER)
    oracle.next_frame()
    report = oracle.report()
    signers, signatures = oracle.signatures(oracle.digest(report), range(3))
    too_little, enough = 100_000, 1_000_000
    while enough - too_little > 500:
        middle = (too_little + enough) // 2
        with evm.undone():
            try:
                oracle.contract.submit(report, signers, signatures, gas=middle)
                enough = middle
            except RevertError as error:
                too_little, reason = middle, error.reason
    assert reason == "report: too little gas"
    oracle.contract.submit(report, signers, signatures, gas=enough)
    assert [event.name for event in evm.events(protocol.pool)].count("Fulfilled") == 1
