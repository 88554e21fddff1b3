"""The demo's thirty days, its books, and the history that events alone give."""

from __future__ import annotations

import csv

import ape
import pytest

from floe.demo import books, story
from floe.demo.beacon import Beacon
from floe.report import history, pictures
from floe.report.history import HistoryError
from scripts import demo


@pytest.fixture(scope="module")
def told():
    """Collect what is said, line by line: (day, text)."""
    return []


@pytest.fixture(scope="module")
def played(told, tmp_path_factory):
    return story.play(tmp_path_factory.mktemp("demo"), lambda day, line: told.append((day, line)))


@pytest.fixture(scope="module")
def closing(played):
    return books.close(played)


def addresses(stage):
    return stage.pool.address, stage.queue.address, stage.token.address


def broken(closing):
    return [check.text for check in closing.checks if not check.holds]


def test_story__thirty_days__books_close(closing):
    assert broken(closing) == []
    assert len(closing.checks) > 90
    assert set(books.MAIN_CHECKS) <= {check.text for check in closing.checks}


def test_story__thirty_days__everything_promised_happened(told, closing):
    text = "\n".join(line for _, line in told)
    for part in (
        "that stakes it",
        "holds rfloETH",
        "leaves at once with exactly 200 ETH",
        'wants to stake 20 ETH: refused, "deposit: loss pending"',
        'wants to leave at once: refused, "instant: over the limit"',
        "the validator has lost 12.8 ETH",
        "shares of it still wait",
        "a stranger claims ticket",
        "claim_many for 11 tickets",
        "gives ticket",
    ):
        assert part in text
    assert max(day for day, _ in told) == story.DAYS
    assert sum(event.name == "Reported" for event in closing.log) == story.DAYS
    assert len(closing.rows) == 11


def test_story__slashing__exit_rate_falls_first_and_entry_rate_when_settled(played):
    stage = played.stage
    day = {(sample.time - stage.midnight) // 86_400: sample for sample in stage.samples}
    assert day[11].exit_rate == day[11].entry_rate
    assert day[13].exit_rate < day[11].exit_rate * 99 // 100 < day[11].entry_rate < day[13].entry_rate
    assert day[20].entry_rate < day[19].entry_rate
    assert day[13].exit_rate < day[20].exit_rate == day[20].entry_rate


def test_story__everybody__earned_what_the_holdings_say(closing):
    for row in closing.rows:
        assert row.reward == row.paid_out + row.holding - row.paid_in - row.moved
    fee = closing.rows[-1]
    assert fee.name == "fee recipient"
    assert fee.holding > 0


@pytest.mark.parametrize("place", ["pool", "queue", "registry", "beacon"])
@pytest.mark.parametrize("change", [1, -1])
def test_books__one_wei_more_or_less_anywhere__do_not_close(played, place, change):
    chain = ape.networks.active_provider
    address = getattr(played.stage, place).address
    balance = chain.get_balance(address)
    if place == "registry":
        change = 1  # it keeps nothing that could be taken
    chain.set_balance(address, balance + change)
    assert books.ALL_ETHER in broken(books.close(played))


def test_books__one_wei_more_in_a_wallet__do_not_close(played):
    chain = ape.networks.active_provider
    staker = played.stage.stakers[2]
    chain.set_balance(staker.address, staker.balance + 1)
    assert broken(books.close(played)) == ["staker 3: ETH before - in + out - gas = ETH now"]


def test_main__books_do_not_close__exits_with_one(closing, played, monkeypatch, tmp_path, capsys):
    wrong = books.Check("nothing is lost", 1, 2)
    monkeypatch.setattr(story, "play", lambda *_: played)
    monkeypatch.setattr(books, "close", lambda _: books.Closing(closing.rows, [wrong], closing.books, closing.log))
    monkeypatch.setattr(demo, "OUT", tmp_path)
    with pytest.raises(SystemExit, match="1 of 1 checks do not hold"):
        demo.main()
    assert "nothing is lost: 1 != 2" in capsys.readouterr().out


def test_main__books_close__writes_picture_and_numbers(closing, played, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(story, "play", lambda *_: played)
    monkeypatch.setattr(books, "close", lambda _: closing)
    monkeypatch.setattr(demo, "OUT", tmp_path)
    demo.main()
    printed = capsys.readouterr().out
    assert "The books close" in printed
    assert "staker 10" in printed
    with (tmp_path / "demo.csv").open(encoding="utf-8") as file:
        rows = [pictures.Sample(**{name: int(value) for name, value in row.items()}) for row in csv.DictReader(file)]
    assert rows == played.stage.samples
    png = (tmp_path / "demo.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") >= 1_200


# --- history ---


def test_history__at_every_sample__equals_what_the_chain_said_then(played, closing):
    samples = played.stage.samples
    times = [sample.time for sample in samples]
    assert times == sorted(times)
    for sample, moment in zip(samples, history.moments(closing.log, times, *addresses(played.stage)), strict=True):
        seen = (sample.entry_rate, sample.exit_rate, sample.assets, sample.buffer)
        assert (moment.entry_rate, moment.exit_rate, moment.assets, moment.buffer) == seen
        # The lens rounds what the queue needs up.
        assert 0 <= sample.waiting - moment.waiting <= 1


def test_history__last_moment__equals_the_whole_replay(played, closing):
    now = played.stage.samples[-1].time
    [moment] = history.moments(closing.log, [now], *addresses(played.stage))
    whole = closing.books
    assert (moment.gross, moment.fee, moment.holders) == (
        whole.revenue.gross,
        whole.revenue.fee,
        whole.revenue.holders,
    )
    assert moment.holdings == {
        holder: (position.principal, whole.reward(holder, now)) for holder, position in whole.positions.items()
    }


def test_history__revenue__is_what_reports_and_leavers_say(closing):
    reports = [event.arguments for event in closing.log if event.name == "Reported"]
    settled = sum(event.arguments["settled_loss"] for event in closing.log if event.name == "Fulfilled")
    assert closing.books.revenue.gross == sum(one["gain"] for one in reports) - settled
    assert closing.books.revenue.fee == sum(one["fee"] for one in reports)
    assert closing.books.revenue.holders == closing.books.revenue.gross - closing.books.revenue.fee
    assert settled > 0
    assert closing.books.revenue.instant_fees > 0


def test_history__all_rewards__are_the_revenue_that_is_not_locked(played, closing):
    """Nobody's reward is another's: together they are what was earned, but for rounding and the stream."""
    whole, now = closing.books, played.stage.samples[-1].time
    rewards = sum(whole.reward(holder, now) for holder in whole.positions)
    assert whole.pending_loss == 0
    assert 0 <= whole.revenue.gross - whole.locked(now) - rewards < len(whole.positions) + len(whole.tickets)


@pytest.mark.parametrize(
    ("contract", "name"),
    [
        ("pool", "Transfer"),
        ("pool", "Deposit"),
        ("pool", "Withdraw"),
        ("pool", "Fulfilled"),
        ("pool", "Reported"),
        ("pool", "SentToValidators"),
        ("pool", "ParametersSet"),
        ("queue", "Requested"),
        ("queue", "Claimed"),
        ("queue", "Transfer"),
        ("token", "TransferShares"),
    ],
)
def test_history__an_event_is_missing__seen(played, closing, contract, name):
    """Every event that the history uses carries something that no other does."""
    matching = [event for event in closing.log if (event.contract, event.name) == (contract, name)]
    if (contract, name) == ("queue", "Transfer"):
        matching = [event for event in matching if history.ZERO not in event.arguments.values()]
    assert matching
    for missing in {matching[0].index: matching[0], matching[-1].index: matching[-1]}.values():
        log = [event for event in closing.log if event is not missing]
        try:
            other = history.replay(log, *addresses(played.stage))
        except (HistoryError, KeyError, ZeroDivisionError):
            continue
        assert other != history.replay(closing.log, *addresses(played.stage))


# --- the simulated beacon chain ---


class Balances:
    """Balances, without a chain."""

    def __init__(self):
        self.wei = {"sink": 0, "vault": 0}

    def get_balance(self, account):
        """Return wei."""
        return self.wei[account]

    def set_balance(self, account, amount):
        """Set wei."""
        assert amount >= 0
        self.wei[account] = amount


@pytest.fixture
def beacon():
    chain = Balances()
    chain.wei["sink"] = 5_000 * 10**18
    beacon = Beacon(chain, "sink", "vault")
    beacon.deposit(5_000 * 10**18, 0)
    return beacon


def test_beacon__a_month_with_exits_and_a_slashing__every_wei_is_at_its_place(beacon):
    for day in range(1, 31):
        beacon.live(day)
        if day == 5:
            beacon.exit(2_500 * 10**18, day)
        if day == 10:
            beacon.slash(7 * 10**18)
        assert beacon.chain.wei["sink"] == beacon.total()
        assert beacon.chain.wei["vault"] == beacon.withdrawn
        assert all(balance >= 0 for balance in beacon.validators)
    assert beacon.total() == beacon.deposited + beacon.earned - beacon.lost - beacon.withdrawn
    assert beacon.withdrawn == 2_500 * 10**18
    assert beacon.lost == 7 * 10**18
    assert 0 < beacon.earned < 5_000 * 10**18 * 4 // 1_200


def test_beacon__deposit__waits_before_it_earns(beacon):
    assert beacon.validators == []
    beacon.live(1)
    assert [balance // 10**18 for balance in beacon.validators] == [2_048, 2_048, 904]


def test_beacon__exits__no_more_than_the_chain_lets_go_in_a_day(beacon):
    beacon.exit(2_000 * 10**18, 1)
    paid = []
    for day in range(1, 7):
        beacon.live(day)
        paid.append(beacon.withdrawn // 10**18)
    assert paid == [0, 0, 900, 1_800, 2_000, 2_000]
    assert beacon.leaving() == 0
