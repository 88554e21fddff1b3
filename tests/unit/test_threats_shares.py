"""What has gone wrong elsewhere with shares, rates and fees, tried here. Numbers are the rows of tests/THREATS.md."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest
import vyper.ast as vy
from hypothesis import given
from hypothesis import strategies as st

from floe import build
from tests.calls import Stage, changing
from tests.evm import DAY, ETHER, Contract, Evm, RevertError, reverts
from tests.protocol import (
    FEE_RECIPIENT,
    OUTSIDER,
    PARAMETERS,
    RECEIVER,
    SAVER,
    SEED,
    STAKER,
    UNLIMITED,
    Protocol,
)

U96 = 2**96 - 1
ATTACKER = OUTSIDER


def assets_of(pool: Contract) -> int:
    """Wei behind all shares, locked rewards included."""
    totals: int = pool.state()[0]
    return totals >> 96 & U96


def worth(pool: Contract, *holders: str) -> Fraction:
    """Entry value of the shares of some holders, exactly."""
    value, supply = pool.entry_price()
    return Fraction(sum(pool.balanceOf(holder) for holder in holders) * value, supply)


def rise(protocol: Protocol) -> int:
    """Wei that a report may add to the assets now."""
    reported_at: int = protocol.lens.protocol().reported_at
    passed = protocol.evm.now - reported_at
    return assets_of(protocol.pool) * PARAMETERS.rise_bps * passed // (10_000 * 365 * DAY)


def raise_rate(protocol: Protocol, tips: int) -> None:
    """Let all of `tips` wei, which the rise limit must allow, stream into the rate."""
    evm = protocol.evm
    evm.fund(protocol.execution_vault, tips)
    evm.travel(360 * DAY)
    assert protocol.report()["tips"] == tips
    evm.travel(360 * DAY)
    protocol.report()


def assert_sound(protocol: Protocol) -> None:
    """Check what holds at any time: the parts are the whole, and the ETH is there."""
    pool, queue, evm = protocol.pool, protocol.queue, protocol.evm
    totals, _, away, _, exits, _, _, _ = pool.state()
    assert pool.buffer() + pool.outside() == assets_of(pool)
    assert evm.balance(pool) >= pool.buffer()
    assert pool.totalAssets() + pool.locked() == assets_of(pool)
    assert away >> 96 & U96 <= pool.outside()
    assert exits >> 96 & U96 <= exits & U96 == pool.balanceOf(queue)
    assert totals & U96 >= SEED
    tickets = range(1, queue.tickets() + 1)
    assert evm.balance(queue) >= sum(queue.claimable(ticket) for ticket in tickets)


# --- 17 to 20: rates that an attacker bends ---


@pytest.mark.parametrize("first", [1, 10**9, 10**15])
def test_bad_017_inflation__donations_around_a_small_first_deposit__cost_the_giver(fresh: Protocol, first: int):
    evm, pool = fresh.evm, fresh.pool
    shares = fresh.stake(first, ATTACKER)
    for target in (pool, fresh.withdrawal_vault, fresh.execution_vault):
        evm.force(target, 100 * ETHER)
    evm.travel(DAY)
    fresh.report(donated=100 * ETHER)
    evm.travel(DAY)
    victim = fresh.stake(ETHER)
    # The seed and the rise limit keep the rate near one whatever is given.
    assert victim > ETHER * 999 // 1_000
    assert worth(pool, STAKER) > ETHER - 2
    assert worth(pool, ATTACKER) <= first + first // 1_000 + 1
    assert pool.balanceOf(ATTACKER) == shares


def test_bad_018_forced_ether__without_a_call__moves_nothing_until_metered(evm: Evm, protocol: Protocol):
    pool, queue = protocol.pool, protocol.queue
    views = ["entry_price", "exit_rate", "buffer", "totalAssets", "totalSupply", "stakeable", "locked", "state"]
    before = [getattr(pool, name)() for name in views]
    for contract in (pool, queue, protocol.token, protocol.withdrawal_vault, protocol.execution_vault):
        evm.force(contract, 10_000 * ETHER)
    assert [getattr(pool, name)() for name in views] == before
    evm.travel(DAY)
    value, supply = pool.entry_price()
    most = rise(protocol)
    reported = protocol.report(donated=10_000 * ETHER)
    assert reported["gain"] == most < ETHER
    new_value, new_supply = pool.entry_price()
    assert 0 <= new_value * supply - value * new_supply < value
    assert_sound(protocol)


def test_bad_019_zero_shares__dust_at_a_high_rate__is_refused():
    protocol = Protocol(Evm(), parameters=PARAMETERS._replace(rise_bps=5_000, fee_bps=0))
    protocol.stake(100 * ETHER)
    raise_rate(protocol, 47 * ETHER)
    raise_rate(protocol, 43 * ETHER)
    assert 1.89 < protocol.pool.entry_rate() / 10**18 < 1.91
    with reverts("deposit: zero shares"):
        protocol.stake(1)
    with reverts("deposit: zero shares"):
        protocol.pool.mint(0, STAKER, sender=STAKER, value=1)
    assert protocol.stake(2) == 1
    assert protocol.pool.previewMint(1) == 2


@pytest.mark.parametrize("rate", ["above one", "below one"])
def test_bad_020_rounding__ten_thousand_micro_operations__gain_nothing(protocol: Protocol, rate: str):
    evm, pool, token = protocol.evm, protocol.pool, protocol.token
    if rate == "below one":
        protocol.rate_falls_to(3, 7)
    protocol.stake(10**6, ATTACKER)
    pool.approve(token, UNLIMITED, sender=ATTACKER)
    dice = random.Random(20)

    def wealth() -> Fraction:
        shares = pool.balanceOf(ATTACKER) + token.shares_of(ATTACKER)
        value, supply = pool.entry_price()
        return evm.balance(ATTACKER) + Fraction(shares * value, supply)

    others, before = Fraction(*pool.entry_price()), wealth()
    deeds = [
        lambda n: pool.deposit(n, ATTACKER, sender=ATTACKER, value=n),
        lambda n: pool.mint(n, ATTACKER, sender=ATTACKER, value=2 * n + 2),
        lambda n: pool.redeem(n, ATTACKER, ATTACKER, sender=ATTACKER),
        lambda n: pool.withdraw(n, ATTACKER, ATTACKER, sender=ATTACKER),
        lambda n: token.wrap(n, sender=ATTACKER),
        lambda n: token.unwrap(n, sender=ATTACKER),
        lambda n: token.transfer(ATTACKER, n, sender=ATTACKER),
        lambda n: token.stake(sender=ATTACKER, value=n),
    ]
    done = 0
    for _ in range(10_000):
        try:
            dice.choice(deeds)(dice.randint(1, 50))
            done += 1
        except RevertError:
            pass
    assert done > 8_000
    assert wealth() <= before
    assert Fraction(*pool.entry_price()) >= others
    assert_sound(protocol)


# --- 21 to 24: the edges of the arithmetic ---


def test_bad_021_rate_below_one__dust_without_an_allowance__cannot_be_taken(protocol: Protocol):
    """A share is worth a third of a wei here: an amount of zero must not buy any."""
    pool, token = protocol.pool, protocol.token
    protocol.rate_falls_to(2, 7)
    pool.approve(token, UNLIMITED, sender=STAKER)
    token.wrap(ETHER, sender=STAKER)
    for shares in range(1, 200):
        with reverts("allowance: too low"):
            token.transfer_shares_from(STAKER, ATTACKER, shares, sender=ATTACKER)
    token.transferFrom(STAKER, ATTACKER, 0, sender=ATTACKER)
    assert token.shares_of(ATTACKER) == 0
    with reverts("allowance: too low"):
        pool.transferFrom(STAKER, ATTACKER, 1, sender=ATTACKER)


def test_bad_022_023_last_holder__leaves_and_somebody_returns__at_the_same_price(fresh: Protocol):
    """The seed never leaves, so the supply is never zero and no first deposit comes twice."""
    evm, pool = fresh.evm, fresh.pool
    for round_ in range(3):
        shares = fresh.stake(7 * ETHER + round_)
        raise_rate(fresh, ETHER // 10)
        fresh.request(shares)
        fresh.report()
        pool.fulfil()
        assert pool.totalSupply() >= SEED
        assert pool.balanceOf(pool) == SEED
        assert pool.balanceOf(STAKER) == 0
        assert_sound(fresh)
        evm.travel(DAY)
    # Only fees and the seed are left. Whoever comes next, however small, gets what he pays for.
    for amount in (2, 1_000, ETHER):
        before = worth(pool, STAKER)
        fresh.stake(amount)
        assert amount - 2 <= worth(pool, STAKER) - before <= amount
    with reverts("allowance: too low"):
        pool.transferFrom(pool, ATTACKER, SEED, sender=ATTACKER)


# Functions that leave out the compiler's overflow checks, and why nothing can wrap there.
UNCHECKED = {
    "_spend": "the allowance was compared just before",
    "permit": "nobody signs 2**256 permits",
    "_at": "u96 * u96, both differences of rising points",
    "_locked": "u96 * u40, end > now >= start",
    "lock_for_exit": "the sum of all balances is below 2**96",
    "fulfil": "eligible shares are waiting shares",
    "send_to_validators": "all the ETH there is, many times over, fits",
    "_move": "the balance was compared just before",
    "_take": "the balance was compared just before",
    "_enter": "both halves were compared with their bounds just before",
    "_burn": "shares are part of S, what leaves is part of A, and P is within O",
    "declare_stale": "what is swept is at most O - P",
    "_raise_pending_loss": "P is within O, and what is raised is at most O - P",
    "_report": "all the ETH there is, many times over, fits",
    "_claimed_until": "tickets start at 1",
    "_check_quorum": "32 signatures of 65 bytes at most",
    "_check_at_rest": "0 is meant to become the highest number",
    "_invariant": "the domain is checked first; the bound of every product stands in its docstring",
}


def test_bad_024_unsafe_arithmetic__in_every_contract__is_listed_with_its_reason():
    found = set()
    for path in sorted((build.ROOT / "contracts").rglob("*.vy")):
        tree: Any = vy.parse_to_ast(path.read_text())
        for function in tree.get_children(vy.FunctionDef):
            names = {call.func.id for call in function.get_descendants(vy.Call) if isinstance(call.func, vy.Name)}
            if any(name.startswith("unsafe_") for name in names):
                found.add(function.name)
    assert found == set(UNCHECKED)


# --- 25 to 30: books that do not add up ---


@given(gain=st.integers(1, 10**19), days=st.integers(1, 400))
def test_bad_025_fee__any_gain_and_rate__is_at_most_its_part_in_value(protocol: Protocol, gain: int, days: int):
    evm, pool = protocol.evm, protocol.pool
    with evm.undone():
        evm.travel(days * DAY)
        supply, fee_shares, most = pool.totalSupply(), pool.balanceOf(FEE_RECIPIENT), rise(protocol)
        reported = protocol.report(gain=gain)
        value, new_supply = pool.entry_price()
        minted = pool.balanceOf(FEE_RECIPIENT) - fee_shares
        assert minted == reported["fee_shares"] == new_supply - supply
        assert Fraction(minted * value, new_supply) <= Fraction(reported["gain"] * PARAMETERS.fee_bps, 10_000)
        # However high the reported gain: the rise limit bounds what the new shares are worth.
        assert Fraction(minted * value, new_supply) <= Fraction(most * PARAMETERS.fee_bps, 10_000)


def test_bad_026_books__through_a_whole_life__follow_from_the_events_alone(evm: Evm, protocol: Protocol):
    """An independent ledger adds up what was logged; the pool's words must say the same after every step."""
    pool, queue = protocol.pool, protocol.queue
    dice = random.Random(26)
    assets, outside, shares = assets_of(pool), pool.outside(), pool.totalSupply()

    def book() -> None:
        nonlocal assets, outside, shares
        for event in evm.events(pool):
            fields = event.fields
            match event.name:
                case "Deposit":
                    assets, shares = assets + fields["assets"], shares + fields["shares"]
                case "Withdraw":
                    assets, shares = assets - fields["assets"], shares - fields["shares"]
                case "Fulfilled":
                    assets -= fields["assets"] + fields["settled_loss"]
                    outside -= fields["settled_loss"]
                    shares -= fields["shares"]
                case "SentToValidators":
                    outside += fields["amount"]
                case "DeclaredStale":
                    outside -= fields["swept"]
                case "Reported":
                    assets, shares = assets + fields["gain"], shares + fields["fee_shares"]
                    outside += fields["gain"] - fields["tips"] - fields["gifts"] - fields["surplus"] - fields["swept"]
        assert (assets, outside, shares) == (assets_of(pool), pool.outside(), pool.totalSupply())
        assert_sound(protocol)

    def report() -> None:
        evm.travel(dice.randint(1, 3 * DAY))
        withdrawn = dice.randint(0, 3) * ETHER
        evm.fund(protocol.withdrawal_vault, withdrawn)
        gain = dice.randint(-ETHER, 2 * ETHER)
        protocol.report(gain, withdrawn=withdrawn, pending_loss=dice.choice([0, 0, ETHER, 30 * ETHER]))

    def stale() -> None:
        evm.fund(protocol.withdrawal_vault, ETHER)
        evm.travel(5 * DAY)
        pool.declare_stale()

    steps = [
        report,
        report,
        lambda: protocol.stake(dice.randint(2, 50 * ETHER)),
        lambda: protocol.request(dice.randint(1, 20 * ETHER)),
        pool.fulfil,
        lambda: pool.redeem(pool.maxRedeem(SAVER) // 3, SAVER, SAVER, sender=SAVER),
        protocol.to_validators,
        lambda: evm.fund(protocol.execution_vault, ETHER // 3),
        lambda: queue.claim(dice.randint(1, queue.tickets() + 1)),
        lambda: evm.force(pool, ETHER // 7),
        stale,
    ]
    logged = set()
    for _ in range(600):
        try:
            dice.choice(steps)()
        except RevertError:
            continue
        logged |= {event.name for event in evm.events(pool)}
        book()
    assert {"Deposit", "Withdraw", "Fulfilled", "SentToValidators", "DeclaredStale", "Reported"} <= logged


@pytest.mark.parametrize("rate", ["1.07", "0.31"])
def test_bad_027_units__every_entry_and_exit__tells_shares_from_wei(protocol: Protocol, rate: str):
    """Far from a rate of one, what is called shares moves shares, and what is called assets moves wei."""
    evm, pool, queue, token = protocol.evm, protocol.pool, protocol.queue, protocol.token
    if rate == "0.31":
        protocol.rate_falls_to(2, 7)
    assert abs(pool.entry_rate() / 10**18 - float(rate)) < 0.01
    amount = 2 * ETHER
    ether = evm.balance(STAKER)
    assert protocol.stake(amount) == pool.convertToShares(amount) != amount
    assert evm.balance(STAKER) == ether - amount
    assert abs(pool.mint(amount, RECEIVER, sender=STAKER, value=10 * ETHER) - pool.convertToAssets(amount)) <= 1
    assert pool.balanceOf(RECEIVER) == amount
    protocol.report()
    ether = evm.balance(STAKER)
    pool.withdraw(amount, STAKER, STAKER, sender=STAKER)
    assert evm.balance(STAKER) == ether + amount
    held = pool.balanceOf(STAKER)
    pool.redeem(amount, STAKER, STAKER, sender=STAKER)
    assert pool.balanceOf(STAKER) == held - amount
    pool.approve(token, UNLIMITED, sender=STAKER)
    assert token.wrap(amount, sender=STAKER) == pool.convertToAssets(amount) == token.balanceOf(STAKER)
    ticket = protocol.request(amount)
    assert queue.pending(ticket) == amount
    protocol.report()
    assert pool.fulfil()[0] == amount
    assert queue.claimable(ticket) == pool.convertToAssets(amount)
    # One per cent is a hundredth, and not a hundred hundredths.
    protocol.report(pending_loss=assets_of(pool) // 101)
    assert pool.maxDeposit(STAKER) > 0
    protocol.report(pending_loss=assets_of(pool) // 99)
    assert pool.maxDeposit(STAKER) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"fee_bps": 0},
        {"fee_bps": 2_000},
        {"rise_bps": 100},
        {"target_bps": 0},
        {"target_bps": 2_000},
        {"allowance_bps": 0},
        {"allowance_bps": 2_000},
        {"instant_fee_min": 0, "instant_fee_max": 0},
        {"instant_fee_min": 50_000, "instant_fee_max": 50_000},
        {"period": 3_600},
        {"stale_after": DAY},
    ],
    ids=str,
)
def test_bad_028_setters__at_every_extreme__leave_books_and_claims_alone(protocol: Protocol, changes: dict[str, int]):
    pool, queue = protocol.pool, protocol.queue
    protocol.request(20 * ETHER)
    protocol.report()
    pool.fulfil(5 * ETHER)
    before = [pool.entry_price(), pool.exit_rate(), pool.locked(), pool.buffer(), queue.claimable(1), queue.pending(1)]
    left = pool.state()[3] >> 136 & 2**80 - 1
    protocol.set_parameters(**changes)
    pool.set_deposit_ceiling(0, sender=protocol.admin)
    pool.set_fee_recipient(RECEIVER, sender=protocol.admin)
    now = [pool.entry_price(), pool.exit_rate(), pool.locked(), pool.buffer(), queue.claimable(1), queue.pending(1)]
    assert now == before
    assert_sound(protocol)
    # No setter lets more out at once than the last report allowed, nor to validators than the queue leaves.
    seen = protocol.lens.protocol()
    assert seen.instant_limit <= min(left, seen.buffer - seen.needed)
    assert seen.stakeable <= seen.buffer - seen.needed
    if seen.instant_limit:
        pool.redeem(pool.maxRedeem(SAVER) // 2, SAVER, SAVER, sender=SAVER)
    pool.fulfil()
    assert_sound(protocol)


@given(
    gain=st.integers(-(10**21), 10**21),
    withdrawn=st.integers(0, 10**21),
    donated=st.integers(0, 10**21),
    pending=st.integers(0, 10**21),
    days=st.integers(0, 800),
)
def test_bad_029_extreme_reports__whatever_they_say__brick_nothing(
    protocol: Protocol, gain: int, withdrawn: int, donated: int, pending: int, days: int
):
    """Anything from losing all to doubling, in any mix: views answer, people leave, the next report works."""
    evm, pool = protocol.evm, protocol.pool
    with evm.undone():
        evm.travel(days * DAY)
        protocol.request(3 * ETHER)
        outside = pool.outside()
        gain = max(gain, -outside)
        withdrawn = min(withdrawn, outside + gain)
        evm.fund(protocol.withdrawal_vault, withdrawn + donated)
        protocol.report(gain, withdrawn=withdrawn, donated=donated, pending_loss=pending)
        assert_sound(protocol)
        assert protocol.lens.protocol().assets == assets_of(pool)
        evm.travel(DAY)
        protocol.report()
        assert_sound(protocol)
        if pool.exit_rate() > 0:
            assert pool.fulfil()[0] > 0
            protocol.queue.claim(1)
            assert_sound(protocol)


@pytest.mark.parametrize("key", ["deposit/2", "deposit/3", "deposit/4", "mint/2", "__default__/0"])
def test_bad_030_entry__each_way_in__takes_exactly_what_it_promised(protocol: Protocol, key: str):
    stage = Stage(protocol)
    evm, pool = protocol.evm, protocol.pool
    call = stage.calls[f"FloePool.{key}"]
    assets, ether, supply = assets_of(pool), evm.balance(pool), pool.totalSupply()
    expected = pool.previewMint(ETHER) if key == "mint/2" else ETHER
    shares = ETHER if key == "mint/2" else pool.previewDeposit(ETHER)
    call.make(stage.wallet)
    assert assets_of(pool) - assets == evm.balance(pool) - ether == expected
    assert pool.totalSupply() - supply == shares


@pytest.mark.parametrize("key", ["stake/0", "stake/1", "stake/2", "stake/3"])
def test_bad_030_entry__stake_and_wrap__takes_exactly_what_it_promised(protocol: Protocol, key: str):
    stage = Stage(protocol)
    evm, pool, token = protocol.evm, protocol.pool, protocol.token
    assets, ether, wrapped = assets_of(pool), evm.balance(pool), token.total_shares()
    shares = pool.previewDeposit(ETHER)
    stage.calls[f"RebasingToken.{key}"].make(stage.wallet)
    assert assets_of(pool) - assets == evm.balance(pool) - ether == ETHER
    assert token.total_shares() - wrapped == shares
    assert token.total_shares() == pool.balanceOf(token)


# --- 35 to 39: prices in the wrong moment ---


@given(first=st.integers(2, 10**20), second=st.integers(2, 10**20))
def test_bad_035_price__moved_by_the_deposit_itself__helps_nobody(protocol: Protocol, first: int, second: int):
    pool = protocol.pool
    with protocol.evm.undone():
        whole = protocol.stake(first + second)
    with protocol.evm.undone():
        price = Fraction(*pool.entry_price())
        in_two = protocol.stake(first) + protocol.stake(second)
        assert in_two <= whole
        assert 0 <= Fraction(*pool.entry_price()) - price < 2 * price / pool.totalSupply()


@pytest.mark.parametrize("edge", ["report", "end of the stream"])
def test_bad_036_rewards__sniped_at_the_edge_of_a_period__are_worth_their_seconds(
    evm: Evm, protocol: Protocol, edge: str
):
    """In two seconds before, out two seconds after: at most four seconds' part of a day's rewards."""
    pool = protocol.pool
    evm.travel(DAY)
    protocol.report(gain=ETHER // 20)
    evm.travel(DAY - 2)
    stake = 1_000 * ETHER
    if edge == "report":
        evm.travel(2)
        protocol.stake(stake, ATTACKER)
        evm.travel(2)
        protocol.report(gain=ETHER // 20)
    else:
        protocol.stake(stake, ATTACKER)
    evm.travel(2)
    assert worth(pool, ATTACKER) - stake <= Fraction(ETHER, 20) * 4 / DAY
    assert pool.previewRedeem(pool.balanceOf(ATTACKER)) < stake


@pytest.mark.parametrize("key", sorted(changing("FloePool")))
def test_bad_037_recover__no_function_of_any_role__reaches_surplus_or_lost_shares(protocol: Protocol, key: str):
    """What was pushed into the pool waits for reports, what was sent to the token belongs to nobody."""
    stage = Stage(protocol)
    evm, pool, token = protocol.evm, protocol.pool, protocol.token
    evm.force(pool, 5 * ETHER)
    pool.transfer(token, ETHER, sender=STAKER)
    call = stage.calls[key]
    evm.travel(call.wait)
    lost = pool.balanceOf(token) - token.total_shares()
    try:
        call.make(stage.wallet)
    except RevertError as error:
        assert error.reason.startswith("caller: ")
    # A report takes surplus in as a gain of all holders; nothing else touches it.
    surplus = evm.balance(pool) - pool.buffer()
    taken = [event.fields["surplus"] for event in evm.events(pool, "Reported")]
    assert surplus == 5 * ETHER - sum(taken)
    assert pool.balanceOf(token) - token.total_shares() == lost
    assert_sound(protocol)


@given(amount=st.integers(1, 2**90))
def test_bad_038_precision__every_conversion__is_within_one_of_the_exact_one(protocol: Protocol, amount: int):
    """Multiplied before divided: no protection against slippage is lost to rounding."""
    pool = protocol.pool
    value, supply = pool.entry_price()
    shares, assets = Fraction(amount * supply, value), Fraction(amount * value, supply)
    assert 0 <= shares - pool.convertToShares(amount) < 1
    assert 0 <= shares - pool.previewDeposit(amount) < 1
    assert 0 <= assets - pool.convertToAssets(amount) < 1
    assert 0 <= pool.previewMint(amount) - assets < 1


def test_bad_039_fee__in_a_loss_or_while_earning_it_back__is_none(evm: Evm, protocol: Protocol):
    pool = protocol.pool
    protocol.set_parameters(fee_bps=2_000)
    held = pool.balanceOf(FEE_RECIPIENT)
    assert protocol.report(gain=-5 * ETHER)["fee"] == 0
    for _ in range(3):
        evm.travel(DAY)
        assert protocol.report(gain=ETHER // 10)["fee"] == 0
    assert pool.balanceOf(FEE_RECIPIENT) == held
    # The fee is a fifth of a gain at most, whatever the admin wants.
    with reverts("parameter: out of bounds"):
        protocol.set_parameters(fee_bps=2_001)
