"""What the admin may do to a pair: fees, amplification, who receives; and how a pair is deployed."""

from __future__ import annotations

import pytest

from tests.evm import DAY, ETHER, ZERO, Evm, reverts
from tests.pair import TERMS, Pair
from tests.protocol import FEE_RECIPIENT, OUTSIDER, RECEIVER, SAVER, STAKER, Protocol

MISSING = "access_control: account is missing role"


@pytest.fixture
def pair(protocol: Protocol) -> Pair:
    return Pair(protocol)


# --- deployment ---


def test_deploy__with_terms__has_them(pair: Pair):
    contract, evm = pair.contract, pair.evm
    terms = contract.parameters()
    assert terms[:5] == (400, 50_000, 200_000, 20_000, 20_000)
    assert contract.amplification() == 20_000
    assert (contract.pool(), contract.fee_receiver()) == (pair.pool.address, FEE_RECIPIENT)
    assert (contract.name(), contract.symbol(), contract.decimals()) == ("Floe ETH pair", "flLP", 18)
    admin = contract.DEFAULT_ADMIN_ROLE()
    assert contract.hasRole(admin, pair.protocol.admin)
    deployer = evm.deploy("StablePair", pair.pool, pair.protocol.admin, RECEIVER, *TERMS, sender=OUTSIDER)
    assert not deployer.hasRole(admin, OUTSIDER)


def test_deploy__without_an_admin_contract_or_receiver__is_refused(evm: Evm, protocol: Protocol):
    with reverts("admin: not a contract"):
        evm.deploy("StablePair", protocol.pool, OUTSIDER, FEE_RECIPIENT, *TERMS)
    for receiver in (ZERO, protocol.pool):
        with reverts("receiver: refused"):
            evm.deploy("StablePair", protocol.pool, protocol.admin, receiver, *TERMS)


@pytest.mark.parametrize(
    "change",
    [
        {"fee": 49},
        {"fee": 10_001},
        {"off_peg": 9_999},
        {"off_peg": 200_001},
        {"admin_ppm": 500_001},
        {"amplification": 99},
        {"amplification": 500_001},
    ],
)
def test_deploy__out_of_bounds__is_refused(evm: Evm, protocol: Protocol, change: dict[str, int]):
    with reverts("parameter: out of bounds"):
        evm.deploy("StablePair", protocol.pool, protocol.admin, FEE_RECIPIENT, *TERMS._replace(**change))


@pytest.mark.parametrize("terms", [(50, 10_000, 0, 100), (10_000, 200_000, 500_000, 500_000)])
def test_deploy__at_the_bounds__works(protocol: Protocol, terms: tuple[int, int, int, int]):
    pair = Pair(protocol, **dict(zip(TERMS._fields, terms, strict=True)))
    pair.sell(10 * ETHER)
    pair.buy(10 * ETHER)
    pair.check()


# --- fees ---


def test_set_fees__in_bounds__count_from_the_next_call(pair: Pair):
    contract, admin = pair.contract, pair.protocol.admin
    cheap = contract.preview_sell(ETHER)
    contract.set_fees(10_000, 10_000, 0, sender=admin)
    assert pair.evm.events(contract, "FeesSet")[0].fields == {"fee": 10_000, "off_peg": 10_000, "admin_ppm": 0}
    assert contract.fee() == 10_000
    assert contract.preview_sell(ETHER) / cheap == pytest.approx(0.99 / 0.9996, rel=1e-5)
    pair.sell(ETHER)
    assert contract.admin_fees() == (0, 0)
    assert contract.parameters()[3:5] == (20_000, 20_000)


@pytest.mark.parametrize(
    "fees", [(49, 50_000, 0), (10_001, 50_000, 0), (400, 9_999, 0), (400, 200_001, 0), (400, 50_000, 500_001)]
)
def test_set_fees__out_of_bounds__is_refused(pair: Pair, fees: tuple[int, int, int]):
    with reverts("parameter: out of bounds"):
        pair.contract.set_fees(*fees, sender=pair.protocol.admin)


def test_admin__functions__are_for_the_admin(pair: Pair):
    contract = pair.contract
    for call, arguments in (
        (contract.set_fees, (400, 50_000, 0)),
        (contract.ramp, (40_000, pair.evm.now + DAY)),
        (contract.stop_ramp, ()),
        (contract.set_fee_receiver, (OUTSIDER,)),
        (contract.grantRole, (contract.DEFAULT_ADMIN_ROLE(), OUTSIDER)),
        (contract.revokeRole, (contract.DEFAULT_ADMIN_ROLE(), pair.protocol.admin)),
    ):
        with reverts(MISSING):
            call(*arguments, sender=OUTSIDER)


# --- amplification ---


def test_ramp__up_and_down__is_a_straight_line(pair: Pair):
    contract, evm, admin = pair.contract, pair.evm, pair.protocol.admin
    start = evm.now
    contract.ramp(40_000, start + 10 * DAY, sender=admin)
    assert evm.events(contract, "Ramped")[0].fields == {
        "from_": 20_000,
        "to": 40_000,
        "start": start,
        "end": start + 10 * DAY,
    }
    assert contract.amplification() == 20_000
    evm.travel(DAY)
    assert contract.amplification() == 22_000
    evm.travel(DAY // 2 + 1)
    assert contract.amplification() == 20_000 + 20_000 * (DAY + DAY // 2 + 1) // (10 * DAY)
    evm.travel(20 * DAY)
    assert contract.amplification() == 40_000
    start = evm.now
    contract.ramp(4_000, start + DAY, sender=admin)
    evm.travel(DAY // 4)
    assert contract.amplification() == 31_000
    assert contract.parameters()[3:] == (40_000, 4_000, start, start + DAY)


def test_ramp__from_the_middle_of_another__starts_where_that_was(pair: Pair):
    contract, evm, admin = pair.contract, pair.evm, pair.protocol.admin
    contract.ramp(40_000, evm.now + 10 * DAY, sender=admin)
    evm.travel(5 * DAY)
    contract.ramp(3_000, evm.now + DAY, sender=admin)
    assert contract.amplification() == 30_000
    contract.stop_ramp(sender=admin)
    evm.travel(DAY)
    assert contract.amplification() == 30_000
    assert contract.parameters()[:3] == (400, 50_000, 200_000)


def test_ramp__while_it_runs__previews_hold_and_books_do_not_move(pair: Pair):
    contract, evm, admin = pair.contract, pair.evm, pair.protocol.admin
    pair.buy(60 * ETHER)
    price = contract.price()
    contract.ramp(2_000, evm.now + 2 * DAY, sender=admin)
    evm.travel(DAY)
    # Less amplification shows more of the imbalance: floETH is dearer.
    assert contract.price() > price > ETHER
    quoted = contract.preview_sell(ETHER)
    assert pair.sell(ETHER) == quoted
    pair.check()


@pytest.mark.parametrize(
    "change", [(200_001, DAY), (1_999, DAY), (99, DAY), (40_000, DAY - 1), (40_000, 2**40), (0, DAY)]
)
def test_ramp__too_far_or_too_fast__is_refused(pair: Pair, change: tuple[int, int]):
    a_to, seconds = change
    with reverts("parameter: out of bounds"):
        pair.contract.ramp(a_to, pair.evm.now + seconds, sender=pair.protocol.admin)


def test_ramp__to_the_ends__takes_four_steps(pair: Pair):
    contract, evm, admin = pair.contract, pair.evm, pair.protocol.admin
    for a_to in (2_000, 200, 100, 1_000, 10_000, 100_000, 500_000):
        contract.ramp(a_to, evm.now + DAY, sender=admin)
        evm.travel(DAY)
        assert contract.amplification() == a_to
        pair.sell(ETHER)
        pair.buy(ETHER)
    with reverts("parameter: out of bounds"):
        contract.ramp(500_001, evm.now + DAY, sender=admin)


# --- what lies beyond the books ---


def test_collect__by_anyone__sends_fees_and_gifts_and_no_more(pair: Pair):
    contract, evm = pair.contract, pair.evm
    pair.sell(20 * ETHER)
    pair.buy(20 * ETHER)
    evm.force(contract, 123)
    pair.pool.transfer(contract, 456, sender=STAKER)
    books, fees = contract.balances(), contract.admin_fees()
    assert min(fees) > 10**15
    had = evm.balance(FEE_RECIPIENT), pair.pool.balanceOf(FEE_RECIPIENT)
    assert contract.collect(sender=OUTSIDER) == fees
    assert (evm.balance(FEE_RECIPIENT) - had[0], pair.pool.balanceOf(FEE_RECIPIENT) - had[1]) == fees
    assert evm.events(contract, "Collected")[0].fields == {
        "receiver": FEE_RECIPIENT,
        "assets": fees[0],
        "shares": fees[1],
    }
    assert contract.balances() == books
    assert contract.admin_fees() == contract.collect(sender=OUTSIDER) == (0, 0)
    pair.remove(contract.balanceOf(SAVER), SAVER)


def test_collect__to_who_cannot_have_it__is_refused_and_holds_nobody_up(evm: Evm, pair: Pair):
    contract, admin = pair.contract, pair.protocol.admin
    pair.sell(20 * ETHER)
    contract.set_fee_receiver(evm.deploy("EtherRefuser", 1), sender=admin)
    with reverts("ether: send failed"):
        contract.collect()
    pair.buy(20 * ETHER)
    contract.set_fee_receiver(pair.protocol.queue, sender=admin)
    with reverts("receiver: refused"):
        contract.collect()
    contract.set_fee_receiver(RECEIVER, sender=admin)
    assert evm.events(contract, "FeeReceiverSet")[0].fields == {"receiver": RECEIVER}
    contract.collect()
    assert evm.balance(RECEIVER) > 0


def test_set_fee_receiver__who_cannot_have_it__is_refused(pair: Pair):
    for receiver in (ZERO, pair.contract, pair.pool):
        with reverts("receiver: refused"):
            pair.contract.set_fee_receiver(receiver, sender=pair.protocol.admin)


def test_plain_ether__is_refused(pair: Pair):
    with reverts("ether: not like this"):
        pair.contract.receive(sender=STAKER, value=1)
