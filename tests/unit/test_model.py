"""The model's rounding, on domains small enough to try everything."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise, product

import pytest

from floe import build
from floe.model import Accounts, Parameters, Protocol, Report, Revert, ceil_div
from floe.model.basics import BPS, DAY, ETHER, GWEI, PPM, U96, YEAR
from floe.model.parameters import NAMES as PARAMETER_NAMES

ACCOUNTS = Accounts(*(f"0x{i:040x}" for i in range(1, 11)))
STAKER, OUTSIDER = f"0x{90:040x}", f"0x{91:040x}"
NOW = 1_000_000
PARAMETERS = Parameters(
    fee_bps=1_000,
    rise_bps=5_000,
    target_bps=1_000,
    allowance_bps=2_000,
    instant_fee_min=0,
    instant_fee_max=50_000,
    period=DAY,
    stale_after=DAY,
)


def protocol(shares: int, assets: int, **state: int) -> Protocol:
    """Build one whose shares the staker holds, all but one; `state` sets fields of the pool."""
    made = Protocol(ACCOUNTS, PARAMETERS, 2**96 // GWEI, GWEI, NOW)
    pool = made.pool
    pool.shares, pool.assets = shares, assets
    pool.balances = {pool.address: 1, STAKER: shares - 1}
    pool.instant_allowance = assets
    for name, value in state.items():
        setattr(pool, name, value)
    made.chain.ether |= {STAKER: 2**100, OUTSIDER: 2**100, pool.address: pool.buffer()}
    return made


def report_of(p: Protocol, gain: int = 0, pending_loss: int = 0, **fields: int) -> Report:
    pool = p.pool
    moved = pool.deposited, pool.withdrawn, pool.donated, p.queue.tail()
    return Report(pool.outside + gain, *moved, pending_loss, pool.raised_gwei)._replace(**fields)


# --- the curve ---


@pytest.mark.parametrize("points", [((3, 2), (4, 9)), ((1, 0), (5, 7), (2, 2)), ((7, 3), (1, 1), (3, 8), (2, 0))])
def test_claims__every_way_to_cut_the_line__pay_what_was_paid_in(points: tuple[tuple[int, int], ...]):
    total = sum(shares for shares, _ in points)
    for cut in product((False, True), repeat=total - 1):
        p = protocol(100, 100)
        ends = [i + 1 for i, there in enumerate(cut) if there] + [total]
        sizes = [b - a for a, b in pairwise([0, *ends])]
        p.queue.request_many(STAKER, sizes, STAKER)
        paid = 0
        for shares, ether in points:
            p.queue.settle(p.pool.address, shares, ether)
            p.chain.ether[p.queue.address] += ether
            # Every other ticket claims after every payment, the others at the end: it makes no difference.
            for ticket in range(1, len(sizes) + 1, 2):
                paid += p.queue.claimable(ticket) and p.queue.claim(OUTSIDER, ticket)
        paid += p.queue.claim_many(OUTSIDER, range(1, len(sizes) + 1), [])
        assert paid == sum(ether for _, ether in points)
        assert p.chain.ether[p.queue.address] == 0
        assert set(p.queue.owners) == {p.queue.owners[0]}


def test_curve__every_position__lies_between_its_points_and_never_falls():
    p = protocol(100, 100)
    for shares, ether in ((3, 7), (5, 0), (1, 9), (4, 4)):
        p.queue.settle(p.pool.address, shares, ether)
    values = [p.queue.value_until(x) for x in range(p.queue.filled() + 1)]
    assert values == sorted(values)
    for i in range(1, len(p.queue.filled_shares)):
        a, b = p.queue.filled_shares[i - 1 : i + 1]
        e, f = p.queue.filled_ether[i - 1 : i + 1]
        for x in range(a, b + 1):
            assert values[x] == e + (x - a) * (f - e) // (b - a)
            if x < b:
                assert p.queue.segment_of(x) == i


def test_hint__every_number__is_taken_exactly_when_it_is_the_segment():
    for hint in range(8):
        p = protocol(100, 100)
        p.queue.request_many(STAKER, [2, 3, 4], STAKER)
        for shares, ether in ((3, 7), (2, 1), (4, 5)):
            p.queue.settle(p.pool.address, shares, ether)
        p.chain.ether[p.queue.address] = 13
        if hint in (0, p.queue.hint(3)):
            assert p.queue.claim(OUTSIDER, 3, hint) == 5
        else:
            with pytest.raises(Revert, match="claim: wrong hint"):
                p.queue.claim(OUTSIDER, 3, hint)
    assert p.queue.hint(3) == 3


# --- prices ---


def test_round_trip__every_small_pool__makes_no_profit():
    """A gain takes part of A out of reach (L), so prices of all kinds occur."""
    for shares, assets, locked, value in product(range(2, 9), range(1, 9), range(3), range(1, 9)):
        if locked > assets:
            continue
        p = protocol(shares, assets, locked_at_start=locked, stream_start=NOW, stream_end=NOW + 1)
        p.pool.parameters = replace(PARAMETERS, instant_fee_max=0)
        p.pool.instant_allowance = 100
        try:
            got = p.pool.deposit(OUTSIDER, value, value, OUTSIDER)
        except Revert as revert:
            assert revert.reason in ("pool: no value", "deposit: zero shares")
            continue
        assert p.pool.preview_mint(got) <= value
        try:
            back = p.pool.redeem(OUTSIDER, got, OUTSIDER, OUTSIDER)
        except Revert as revert:
            assert revert.reason == "instant: zero assets"
            continue
        assert back <= value


def test_mint__every_small_pool__costs_the_least_that_buys_the_shares():
    for shares, assets, wanted in product(range(1, 9), range(1, 9), range(1, 9)):
        p = protocol(shares, assets)
        cost = p.pool.preview_mint(wanted)
        assert p.pool.convert_to_shares(cost) >= wanted
        assert p.pool.convert_to_shares(cost - 1) < wanted


def test_max_deposit__under_a_ceiling__is_taken_and_one_more_is_not():
    for shares, assets, ceiling in product((1, 3, GWEI, 7 * GWEI), (1, GWEI - 1, GWEI, 3 * GWEI + 1), range(6)):
        p = protocol(shares, assets, ceiling_gwei=ceiling)
        most = p.pool.max_deposit(STAKER)
        assert p.pool.max_mint(STAKER) == (p.pool.convert_to_shares(most) if most else 0)
        with pytest.raises(Revert):
            p.pool.deposit(STAKER, most + 1, most + 1, STAKER)
        if most:
            assert p.pool.deposit(STAKER, most, most, STAKER) > 0


def test_max_deposit__near_96_bits__is_taken_and_more_than_a_share_more_is_not():
    for room, assets in product(range(6), (U96 // 2, U96 - 3 * GWEI)):
        p = protocol(U96 - room, assets)
        p.chain.ether[STAKER] = 2**200
        most = p.pool.max_deposit(STAKER)
        with pytest.raises(Revert):
            p.pool.deposit(STAKER, most + 2, most + 2, STAKER)
        if most:
            assert p.pool.deposit(STAKER, most, most, STAKER) > 0


# --- the instant exit ---


def instant_pools() -> list[Protocol]:
    """Pools of 40 wei with all kinds of buffers, needs and fees; a millionth is much less than a wei here."""
    made = []
    for outside, waiting, target, lowest, highest in product(
        (0, 15, 33), (0, 7), (0, 500, 2_000), (0, 20_000), (20_000, 50_000)
    ):
        p = protocol(31, 40, outside=outside, waiting=waiting)
        p.pool.balances[STAKER] -= waiting
        p.pool.parameters = replace(PARAMETERS, target_bps=target, instant_fee_min=lowest, instant_fee_max=highest)
        made.append(p)
    # The same in amounts where a millionth is many wei.
    for p in list(made):
        q = protocol(31 * 10**9, 40 * 10**9 + 7, outside=p.pool.outside * 10**9, waiting=p.pool.waiting * 10**9)
        q.pool.balances[STAKER] -= q.pool.waiting
        q.pool.parameters = p.pool.parameters
        made.append(q)
    return made


def net(p: Protocol, gross: int) -> int:
    return gross - p.pool._instant_fee(gross)


def test_gross__every_amount__is_the_least_that_leaves_it():
    for p in instant_pools()[:72]:
        for assets in range(60):
            least = next(g for g in range(1_000) if net(p, g) >= assets)
            assert p.pool._gross_of(assets) == least


def test_gross__large_amounts__is_enough_and_one_less_is_not():
    for p in instant_pools()[72:]:
        step = p.pool.assets // 37
        for assets in range(1, 2 * p.pool.assets, step):
            gross = p.pool._gross_of(assets)
            assert net(p, gross) >= assets > net(p, gross - 1)


def test_instant_rate__growing_exit__never_falls_and_stays_between_the_bounds():
    for p in instant_pools():
        step = max(p.pool.assets // 100, 1)
        rates = [p.pool._instant_fee_ppm(p.pool.free(), gross) for gross in range(1, 2 * p.pool.assets, step)]
        assert rates == sorted(rates)
        assert p.pool.parameters.instant_fee_min <= rates[0] <= rates[-1] <= p.pool.parameters.instant_fee_max


def test_instant_exit__in_pieces__costs_the_same():
    """To a millionth: every piece's rate is rounded up, and the target shrinks a little with the assets."""
    whole, pieces = (protocol(10**24, 10**24, outside=9 * 10**23) for _ in range(2))
    assert whole.pool.free() == whole.pool.target()
    at_once = whole.pool.redeem(STAKER, 10**22 * 8, STAKER, STAKER)
    in_pieces = sum(pieces.pool.redeem(STAKER, 10**21, STAKER, STAKER) for _ in range(80))
    assert abs(at_once - in_pieces) * 1_000 < at_once * 2


def test_withdraw__every_amount__pays_it_exactly_and_is_previewed():
    for p in instant_pools():
        pool = p.pool
        for assets in {1, 2, 3, 5, pool.max_withdraw(STAKER) // 2, pool.max_withdraw(STAKER)} - {0}:
            before = p.checkpoint()
            try:
                expected = pool.preview_withdraw(assets)
                had = p.chain.ether[STAKER]
                if assets > pool.max_withdraw(STAKER):
                    continue
                assert pool.withdraw(STAKER, assets, STAKER, STAKER) == expected
                assert p.chain.ether[STAKER] == had + assets
            finally:
                p.restore(before)


def test_redeem__at_max_redeem__is_paid_as_previewed_and_one_more_is_not():
    for p, allowance in product(instant_pools(), (0, 1, 5, 8, 10**10)):
        pool = p.pool
        pool.instant_allowance = allowance
        before = p.checkpoint()
        most = pool.max_redeem(STAKER)
        expected = pool.preview_redeem(most)
        assert pool.max_withdraw(STAKER) == expected
        with pytest.raises(Revert):
            p.attempt(lambda: pool.redeem(STAKER, most + 1, STAKER, STAKER))  # noqa: B023
        if most:
            assert pool.redeem(STAKER, most, STAKER, STAKER) == expected > 0
        p.restore(before)


# --- the stream ---


def test_locked__every_second__falls_from_all_to_nothing():
    for amount, seconds in product(range(9), range(1, 9)):
        p = protocol(10, 20, locked_at_start=amount, stream_start=NOW, stream_end=NOW + seconds)
        values = []
        for second in range(seconds + 2):
            p.chain.now = NOW + second
            values.append(p.pool.locked())
        assert values == sorted(values, reverse=True)
        assert (values[0], values[-1], values[-2]) == (amount, 0, 0)


def test_stream_more__every_small_stream__locks_all_of_it_and_ends_between_old_and_new():
    for locked, rest, amount, period in product(range(6), range(1, 8), range(1, 6), range(1, 8)):
        p = protocol(10, 20, locked_at_start=locked, stream_start=NOW - 1, stream_end=NOW + rest)
        before = p.pool.locked()
        p.pool._stream_more(amount, period)
        assert p.pool.locked() == before + amount
        assert min(rest, period) <= p.pool.stream_end - NOW <= max(rest, period)
        assert p.pool.stream_end - NOW >= rest


# --- leaving and losses ---


def test_fulfil__every_small_pool__neither_price_falls_nor_rises_by_more_than_a_wei():
    for shares, assets, pending, eligible in product(range(2, 9), range(2, 12), range(4), range(1, 8)):
        if eligible >= shares or pending > assets:
            continue
        p = protocol(shares, assets, outside=pending, pending_loss=pending)
        p.queue.request(STAKER, eligible, STAKER)
        p.pool.eligible = eligible
        entry, exit_ = p.pool.entry_value(), p.pool.exit_value()
        try:
            burnt, paid = p.pool.fulfil()
        except Revert as revert:
            assert revert.reason in ("pool: no value", "fulfil: nothing to pay", "fulfil: too little")
            continue
        assert paid == burnt * exit_ // shares
        left = p.pool.shares
        assert entry * left <= p.pool.entry_value() * shares <= (entry * left) + 2 * shares
        assert exit_ * left <= p.pool.exit_value() * shares < exit_ * left + shares
        assert p.queue.value_until(burnt) == paid


@pytest.mark.parametrize("pending", [1, 1_000, 333_333])
@pytest.mark.parametrize("leaving", [0, 17, 500_000])
@pytest.mark.parametrize("reports", [0, 1, 3])
@pytest.mark.parametrize("late", [None, 0, 1, 2])
def test_pending_loss__leavers_and_stayers__bear_the_same_whenever_it_settles(
    pending: int, leaving: int, reports: int, late: int | None
):
    """Who leaves under a pending loss takes his part; reports before it settles charge nobody twice, nor a fee.

    It is a report that says it, or the registry before any report; `late` reports after that do not know it yet.
    """
    unit = 10**15
    p = protocol(10**6 * unit, 10**6 * unit, outside=400_000 * unit, deposited=400_000 * unit, report_at=NOW - DAY)
    pool, true_cl = p.pool, 400_000 * unit
    if leaving:
        p.queue.request(STAKER, leaving * unit, STAKER)
    pool.report(ACCOUNTS.oracle, report_of(p, pending_loss=pending * unit if late is None else 0))
    if late is not None:
        pool.raise_pending_loss(ACCOUNTS.registry, pending * unit // GWEI)
    price = pool.exit_value() / pool.shares
    if leaving:
        assert pool.fulfil()[1] / (leaving * unit) == pytest.approx(price, rel=1e-12)
    for number in range(reports):
        p.chain.now += DAY
        known = {"raised_at_ref": 0} if number < (late or 0) else {"pending_loss": pending * unit}
        pool.report(ACCOUNTS.oracle, report_of(p, cl=true_cl, **known))
        assert pool.exit_value() / pool.shares == pytest.approx(price, rel=1e-12)
    p.chain.now += DAY
    pool.report(ACCOUNTS.oracle, report_of(p, cl=true_cl - pending * unit))
    assert pool.pending_loss == 0
    assert pool.entry_value() / pool.shares == pytest.approx(price, rel=1e-12)
    assert pool.balances.get(ACCOUNTS.fee_recipient, 0) == 0


# --- reports ---


def test_report__every_small_result__is_booked_to_the_wei():
    """Assets change by what is recognised; what a rise limit holds back, and only that, is missing outside."""
    outcomes = product((0, 3, 20), range(-20, 30, 3), (0, 4), (0, 5), (0, 6), (0, DAY, YEAR))
    for back, result, tips, gifts, surplus, seconds in outcomes:
        p = protocol(50, 60, outside=20, deposited=20, deficit=2)
        pool = p.pool
        p.chain.now += seconds
        p.chain.ether[ACCOUNTS.execution_vault] = tips
        p.chain.ether[ACCOUNTS.withdrawal_vault] = back + gifts
        p.chain.ether[pool.address] += surplus
        everything = pool.buffer() + tips + back + gifts + surplus
        cl = max(20 + result - back, 0)
        result = cl + back - 20
        room = 60 * 5_000 * seconds // (BPS * YEAR)
        pool.report(ACCOUNTS.oracle, report_of(p, cl=cl, withdrawn_at_ref=back, donated_at_ref=gifts))

        gain = pool.assets - 60
        assert gain == min(result, room) + min(max(tips + gifts + surplus, 0), room - min(result, room))
        assert p.chain.ether[pool.address] >= pool.buffer()
        held = sum(p.chain.ether[a] for a in (pool.address, ACCOUNTS.execution_vault, ACCOUNTS.withdrawal_vault))
        assert held == everything
        # All there is = what is booked + what waits to be recognised.
        waits = max(result - room, 0) + (tips + gifts + surplus) - (gain - min(result, room))
        assert cl + held == pool.assets + waits
        assert pool.locked() <= max(gain, 0)
        assert pool.deficit == (2 - gain if gain < 0 else max(2 - gain, 0))


def test_fee__every_small_gain__moves_nobodys_price():
    for gain, deficit, shares, assets in product(range(0, 120, 7), (0, 10), (90, 100, 133), (100, 117)):
        p = protocol(shares, assets, outside=50, deposited=50, deficit=deficit, report_at=NOW - 10 * YEAR)
        pool = p.pool
        before = pool.entry_value()
        pool.report(ACCOUNTS.oracle, report_of(p, gain=gain))
        minted = pool.shares - shares
        assert minted == pool.balances.get(ACCOUNTS.fee_recipient, 0)
        fee = max(gain - deficit, 0) * 1_000 // BPS
        assert minted == fee * shares // before
        assert pool.entry_value() * shares >= before * pool.shares
        assert pool.locked() == (gain - fee if minted else gain)


# --- the rebasing token ---


def test_rebasing_transfer__every_small_rate__gives_at_least_the_amount_for_at_most_a_share_more():
    for shares, assets, amount in product(range(8, 20), range(5, 25, 3), range(7)):
        p = protocol(shares, assets)
        p.token.shares_of = {STAKER: shares - 1}
        p.token.total_shares = shares - 1
        needed = amount * shares / assets
        if needed > shares - 1:
            continue
        p.token.transfer(STAKER, OUTSIDER, amount)
        moved = p.token.shares_of[OUTSIDER]
        assert needed <= moved < needed + 1
        assert p.token.balance_of(OUTSIDER) >= amount
        assert p.token.shares_of[STAKER] + moved == shares - 1


# --- the model itself ---


def test_attempt__reverts__leaves_everything_as_it_was():
    p = protocol(10**18, 10**18)
    p.chain.on_ether[OUTSIDER] = lambda *_: False
    p.pool.balances[OUTSIDER] = 10**17
    words, ether, balances = p.pool.words(), dict(p.chain.ether), dict(p.pool.balances)
    with pytest.raises(Revert, match="ether: send failed"):
        p.attempt(lambda: p.pool.redeem(OUTSIDER, 10**16, OUTSIDER, OUTSIDER))
    assert (p.pool.words(), p.chain.ether, p.pool.balances) == (words, ether, balances)
    assert not p.pool.entered
    p.pool.redeem(STAKER, 10**16, STAKER, STAKER)


def test_words__every_field__has_bits_of_its_own():
    p = protocol(0, 0, report_at=0, ceiling_gwei=0, instant_allowance=0)
    pool = p.pool
    pool.parameters = replace(PARAMETERS, **dict.fromkeys(PARAMETER_NAMES, 0))
    widths = {
        "shares": 96, "assets": 96, "deposit_paused_until": 40, "locked_at_start": 96, "stream_start": 40,
        "stream_end": 40, "ceiling_gwei": 80, "outside": 96, "pending_loss": 96, "fulfil_paused_until": 40,
        "deficit": 96, "report_at": 40, "instant_allowance": 80, "instant_paused_until": 40, "waiting": 96,
        "eligible": 96, "stale_at": 40, "deposited": 96, "withdrawn": 96, "raised_gwei": 64,
        "donated": 256,
    }  # fmt: skip
    assert not any(pool.words())
    seen = [0] * 8
    for name, bits in widths.items():
        setattr(pool, name, 2**bits - 1)
        words = [word & ~(3 << 232) if i == 0 else word for i, word in enumerate(pool.words())]
        setattr(pool, name, 0)
        assert sum(word.bit_count() for word in words) == bits, name
        assert not any(word & other for word, other in zip(words, seen, strict=True)), name
        seen = [word | other for word, other in zip(words, seen, strict=True)]
    numbers = [replace(pool.parameters, **{name: 2**16 - 1}).packed for name in PARAMETER_NAMES]
    assert sum(numbers).bit_count() == 8 * 16


def test_reasons__of_the_model__are_those_of_the_contracts():
    """Each reason that the contracts declare and the model can raise is spelt alike."""
    declared = set(re.findall(r'= "(.+: .+)"', (build.ROOT / "contracts/lib/reasons.vy").read_text()))
    used = {
        reason
        for file in (build.ROOT / "floe/model").glob("*.py")
        for reason in re.findall(r'Revert\("([^"]+)"', file.read_text())
        if not reason.startswith(("ecdsa", "access_control", "erc20"))  # snekmate's
    }
    assert used <= declared
    assert len(used) > 40


def test_ceil_div__every_small_pair__is_the_least_multiple_that_is_enough():
    for a, b in product(range(30), range(1, 12)):
        assert ceil_div(a, b) * b >= a > (ceil_div(a, b) - 1) * b
    assert ceil_div(PPM * ETHER, PPM) == ETHER
