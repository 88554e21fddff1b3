"""The demo's days, its books, and the history that events alone give."""

from __future__ import annotations

import csv
import os
from contextlib import contextmanager
from dataclasses import replace

import pytest
from click.testing import CliRunner

from floe.beacon.containers import FAR_FUTURE_EPOCH
from floe.demo import books, market_books, staking, story
from floe.demo.checks import Check
from floe.demo.daemons import Daemons
from floe.demo.processes import Process, ProcessError
from floe.devnet import Devnet, DevnetError
from floe.report import history, pictures
from floe.report.history import HistoryError
from scripts import demo

DAY = 86_400


@pytest.fixture(scope="module")
def told():
    """Collect what is said, line by line: (day, text)."""
    return []


@pytest.fixture(scope="module")
def played(told):
    """Play all days once; Ape stays connected to the demo's own chain."""
    with story.play(lambda day, line: told.append((day, line))) as played:
        yield played


@pytest.fixture(scope="module")
def closing(played):
    return books.close(played)


def addresses(stage):
    return stage.pool.address, stage.queue.address, stage.token.address


def broken(closing):
    return [check.text for check in closing.checks if not check.holds]


def validator(played, number):
    return played.stage.validators[number - 1]


def samples_of(played, day):
    """Return the samples of one day: after what people did, after the report, after the keeper in the evening."""
    stage = played.stage
    return [sample for sample in stage.samples if (sample.time - stage.midnight) // DAY == day - 1]


# --- the story ---


def test_story__all_days__books_close(closing):
    assert broken(closing) == []
    assert len(closing.checks) > 260
    assert set(books.MAIN_CHECKS) <= {check.text for check in closing.checks}


def test_story__all_days__everything_promised_happened(told, closing):
    text = "\n".join(line for _, line in told)
    for part in (
        "that stakes it",
        "holds rfloETH",
        "but first it has deposited for that key to an address of its own",
        "the keeper proves that validators 1 to 8 withdraw to our vault, and to nowhere else",
        "validator 9 withdraws elsewhere: operator 3 has lost 1 ETH, the pool nothing",
        "ETH of the pool, which also buys the predeposits for 8 ETH",
        "leaves at once with exactly 200 ETH",
        'wants to stake 20 ETH: refused, "deposit: loss pending"',
        'wants to leave at once: refused, "instant: over the limit"',
        "the keeper proves the slashing of validator 1, operator 1 is suspended: ",
        "ETH are to come",
        "the keeper proves that validator 8 leaves",
        "the keeper proves that validator 8 is withdrawn to the last Gwei",
        "the keeper asks the beacon chain for",
        "have arrived from the beacon chain",
        "the penalties are paid",
        "shares of it still wait",
        "a stranger claims ticket",
        "claim_many for 1",
        "gives ticket",
        "member 2 of the oracle's committee loses its power",
        "brings the report that members 1 and 3 have signed",
        "the keeper has fees split",
        "the keeper has operator 2 paid",
        "ETH repay the loss",
        "gives 120 ETH and 120 shares to the pair, for 240.0000 flLP",
        "turns 20 ETH into 20.0000 flLP in one call",
        "shares to those in the gauge, over 5 days",
        "ETH through the reserve: it parts with",
        "a stranger has the reserve queue",
        'wants to give 10 ETH to the reserve: refused, "reserve: loss pending"',
        "to the reserve for",
        "at the pair for",
        "a stranger claims the reserve's tickets",
        "asks the WETH vault for the exit of 5 shares",
        "shares from the gauge: they go to staker 7",
        "leaves the pair with",
        "shares alone out of the pair",
        "leaves the reserve with",
    ):
        assert part in text, part
    assert max(day for day, _ in told) == story.DAYS
    assert sum(event.name == "Reported" for event in closing.log) == story.DAYS
    assert len(closing.rows) == 23


def test_story__frames__each_reported_once_by_members_in_turn(played):
    first, *rest = [report.ref_slot for report in played.stage.news.reports]
    assert rest == [first + number * staking.SLOTS_A_DAY for number in range(1, story.DAYS)]
    assert set(played.stage.news.senders) == {"member 1", "member 2", "member 3"}


def test_story__daemons__alone_did_their_work(played, closing):
    """People neither report, prove, top up nor pull back: whoever sent these transactions is a process."""
    web3 = played.stage.chain.web3
    theirs = {
        ("oracle", "Applied"): {"member 1", "member 2", "member 3"},
        ("registry", "Proven"): {story.KEEPER},
        ("registry", "Slashed"): {story.KEEPER},
        ("registry", "ToppedUp"): {story.KEEPER},
        ("registry", "WithdrawalRequested"): {story.KEEPER},
        ("registry", "Closed"): {story.KEEPER},
        ("splitter", "Distributed"): {story.KEEPER},
    }
    found: dict[tuple[str, str], set[str]] = {name: set() for name in theirs}
    for event in closing.log:
        if (event.contract, event.name) in theirs:
            sender = web3.eth.get_transaction(event.transaction)["from"]
            found[event.contract, event.name].add(played.daemons.get(sender, "somebody"))
    assert found == theirs


def test_story__member_without_power__goes_on_where_it_was(played):
    """It is killed, misses three reports, and has signed none of them; after that it signs again."""
    news = played.stage.news
    # The first report is that of the midnight after day 1.
    signed = {day: 2 in members for day, members in enumerate(news.signers, 2)}
    brought = dict(enumerate(news.senders, 2))
    assert not any(signed[day] or brought[day] == "member 2" for day in (9, 10, 11))
    assert any(signed[day] or brought[day] == "member 2" for day in range(12, story.DAYS + 2))


def test_story__front_run__costs_the_operator_and_not_the_pool(played, closing):
    [event] = [event for event in closing.log if event.name == "Compromised"]
    before, after = (
        next(sample for sample in reversed(played.stage.samples) if sample.time < event.time),
        next(sample for sample in played.stage.samples if sample.time >= event.time),
    )
    assert (after.compromised, after.entry_rate, after.assets) == (1, before.entry_rate, before.assets)
    assert closing.stake.operators[2].bond == 0
    assert closing.stake.found[validator(played, 9).pubkey].balance == 2 * staking.PREDEPOSIT


def test_story__slashing__exit_rate_falls_the_same_day_and_entry_rate_when_settled(played, closing):
    before, proven = samples_of(played, 5)[0], samples_of(played, 5)[-1]
    assert before.exit_rate == before.entry_rate
    assert proven.slashed == 1
    [slashed] = [event.arguments["estimate"] for event in closing.log if event.name == "Slashed"]
    # Who left since then has borne his part.
    assert 25 * 10**18 < proven.pending_loss <= slashed * 10**9
    assert proven.exit_rate < before.exit_rate * 9_950 // 10_000
    assert proven.entry_rate >= before.entry_rate
    assert samples_of(played, 6)[-1].pending_loss > 50 * 10**18
    waiting, settled = samples_of(played, 13)[-1], samples_of(played, 14)[-1]
    assert waiting.exit_rate < waiting.entry_rate
    assert settled.entry_rate == settled.exit_rate < waiting.entry_rate * 9_900 // 10_000


def test_story__run__paid_by_what_the_keeper_pulls_back(played, closing):
    asked = [
        event.arguments["amount"] * 10**9
        for event in closing.log
        if event.name == "WithdrawalRequested" and event.time < played.stage.midnight + 12 * DAY
    ]
    assert sum(asked) > 1_500 * 10**18
    arrived = sum(event.arguments["swept"] for event in closing.log if event.name == "Reported")
    assert arrived > sum(asked) + 250 * 10**18  # and a validator that its operator had ended
    assert samples_of(played, story.DAYS)[-1].closed == 1


def test_story__panic__price_falls_below_redemption_value_and_comes_back(played):
    """Who sells in the panic pays for it; whoever buys then brings the price back."""
    calm, panic, settled = (samples_of(played, day)[-1] for day in (4, 7, 15))
    assert 0.998 < calm.bid / calm.exit_rate < calm.ask / calm.exit_rate < 1.002
    lowest = min(sample.ask / sample.exit_rate for day in (6, 7, 8) for sample in samples_of(played, day))
    assert lowest < 0.97
    assert lowest < panic.ask / panic.exit_rate < settled.ask / settled.exit_rate < 1.005
    assert settled.bid / settled.exit_rate > 0.995
    # While a loss is pending nobody sells at the pair above redemption value, and nobody buys at the price of leaving.
    for sample in played.stage.samples:
        if sample.pending_loss and sample.bid:
            assert sample.bid < sample.exit_rate
            assert sample.ask - sample.bid > (sample.entry_rate - sample.exit_rate) * 9 // 10


def test_story__patient_buyer__pays_less_than_the_pool_will(played, closing):
    bought = [one for one in closing.log if (one.contract, one.name) == ("pair", "Bought")]
    bargains = [one for one in bought if one.time > played.stage.midnight + 6 * DAY]
    assert len(bargains) == 3
    for one in bargains:
        before = [sample for sample in played.stage.samples if sample.time < one.time][-1]
        assert one.arguments["assets"] * 10**18 < one.arguments["shares"] * before.exit_rate


def test_story__reserve__buys_exits_in_the_panic_and_is_paid_for_them(played):
    before, panic, paid = (samples_of(played, day)[-1] for day in (3, 7, 14))
    assert panic.reserve_cash < before.reserve_cash // 2
    assert panic.reserve_value > before.reserve_value
    assert paid.reserve_cash > before.reserve_cash  # with the fees


def test_story__everybody__earned_what_the_holdings_say(closing):
    for row in closing.rows:
        assert row.reward == row.paid_out + row.holding - row.paid_in - row.moved
    holdings = {row.name: row.holding for row in closing.rows}
    assert holdings["treasury"] > 0
    assert holdings["operator 2"] > 0


@pytest.mark.parametrize("after", ["four epochs are a day", "each a process of its own"])
def test_play__stopped_in_the_middle__no_process_is_left(monkeypatch, after):
    devnet = Devnet(story.CHAIN)
    started: list[Daemons] = []
    pids: list[int | None] = []

    def start(*given):
        started.append(Daemons(*given))
        return started[0]

    monkeypatch.setattr(story, "Devnet", lambda _: devnet)
    monkeypatch.setattr(story, "Daemons", start)

    def stop(_day, line):
        if after in line:
            assert devnet.pids
            pids.extend([*devnet.pids, *(one.pid for each in started for one in each.all)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), story.play(stop):
        pass
    assert len(pids) == 2 + 4 * len(started)
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_daemons__one_ends_by_itself__named_with_its_log(tmp_path):
    process = Process(tmp_path, "oracle", "member9", b"\1" * 32, 0, {"deployment": "nowhere.json"})
    process.start()
    with pytest.raises(ProcessError, match=r"member9 has ended, with exit code 1\n.*beacon: Field required"):
        process.wait_for_rounds(1)
    process.stop()


# --- the books ---


@pytest.mark.parametrize(
    "place", ["pool", "queue", "registry", "withdrawal vault", "execution vault", "pair", "reserve", "weth", "zap"]
)
def test_books__one_wei_more_or_less_anywhere__do_not_close(played, closing, place):
    stage = played.stage
    vaults = {"withdrawal vault": stage.vaults[0], "execution vault": stage.vaults[1]}
    address = (vaults.get(place) or getattr(stage, place)).address
    balance = stage.chain.get_balance(address)
    stage.chain.set_balance(address, balance - 1 if balance else 1)
    assert books.ALL_ETHER in broken(books.close(played, closing.past))


def test_books__one_wei_more_in_wallets__do_not_close(played, closing):
    stage = played.stage
    wallets = {"staker 3": stage.stakers[2], "operator 2": stage.operators[1], **stage.helpers}
    for account in wallets.values():
        stage.chain.set_balance(account.address, account.balance + 1)
    wrong = [f"{name}: ETH before - sent + out - gas = ETH now" for name in wallets]
    assert broken(books.close(played, closing.past)) == wrong


@pytest.mark.parametrize(
    ("event", "check"),
    [
        (("pair", "Sold"), market_books.PAIR),
        (("pair", "Bought"), market_books.PAIR),
        (("pair", "LiquidityAdded"), market_books.PAIR),
        (("pair", "LiquidityRemoved"), market_books.PAIR),
        (("pair", "OneRemoved"), "the pair's floETH = from sellers and providers - to buyers and providers"),
        (("reserve", "Sold"), market_books.RESERVE),
        (("reserve", "TicketSold"), market_books.RESERVE),
        (("reserve", "TicketClaimed"), market_books.RESERVE),
        (("reserve", "Restaked"), market_books.RESERVE),
        (("reserve", "Deposit"), market_books.RESERVE),
        (("reserve", "Withdraw"), market_books.RESERVE),
        (("reserve", "Queued"), "the reserve's floETH = bought - queued - restaked"),
        (("gauge", "Notified"), market_books.GAUGE),
        (("gauge", "Claimed"), market_books.GAUGE),
        (("gauge", "Staked"), "staked = put in - taken out"),
        (("weth", "Deposit"), "WETH's ETH = wrapped - unwrapped"),
    ],
)
def test_books__market_event_missing__do_not_close(played, closing, event, check):
    missing = next(item for item in closing.log if (item.contract, item.name) == event)
    log = [item for item in closing.log if item is not missing]
    assert check in broken(books.close(played, replace(closing.past, log=log)))


def test_books__shares_sent_to_the_market_past_its_books__do_not_close(played, closing):
    """A gift of floETH to the reserve or the vault is nobody's; one to the pair is the admin's."""
    stage = played.stage
    giver = stage.stakers[8]
    snapshot = stage.chain.snapshot()
    for place in (stage.reserve, stage.weth_vault, stage.gauge, stage.pair):
        stage.pool.transfer(place, 1, sender=giver)
    wrong = broken(books.close(played, closing.past))
    stage.chain.restore(snapshot)
    for check in (
        "the reserve's floETH = its book",
        market_books.VAULT,
        "the gauge's floETH = notified - paid",
        "the pair's floETH = from sellers and providers - to buyers and providers",
    ):
        assert check in wrong
    assert "the pair's floETH = its book + the admin's" not in wrong


def test_books__tips_of_another_block__do_not_close(played, closing):
    other = replace(closing.past, tips=closing.past.tips + 1)
    text = "execution vault's ETH = tips + covered losses - swept"
    assert broken(books.close(played, other)) == [text, books.ALL_ETHER]


def test_books__balance_on_the_beacon_chain_one_gwei_off__do_not_close(played, closing, monkeypatch):
    see_otherwise(played, monkeypatch, {2: {"balance": 1}})
    wrong = broken(books.close(played, closing.past))
    assert wrong == ["reported balances = those of the Beacon API", books.OUTSIDE, books.ALL_ETHER]


def test_books__registry_and_beacon_state_differ__do_not_close(played, closing, monkeypatch):
    active = [one for one in closing.stake.validators if one.state == "active"]
    steady = next(one.number for one in active if not one.record.pulled)
    second, third, fourth, fifth = [one.number for one in active if one.number != steady][:4]
    changes = {
        1: ({"slashed": False}, "slashed"),
        second: ({"index": 1}, "index"),
        third: ({"withdrawal_credentials": b"\x02" + bytes(31)}, "withdraws elsewhere"),
        fourth: ({"slashed": True}, "slashed"),
        fifth: ({"exit_epoch": 60}, "has an exit epoch"),
        steady: ({"effective_balance": 31 * 10**9}, "stake = effective balance + deposits that wait"),
        8: ({"exit_epoch": FAR_FUTURE_EPOCH}, "has an exit epoch"),
    }
    see_otherwise(played, monkeypatch, {number: fields for number, (fields, _) in changes.items()})
    wrong = [f"validator {number}: {check}" for number, (_, check) in sorted(changes.items())]
    assert broken(books.close(played, closing.past)) == wrong


def see_otherwise(played, monkeypatch, changes):
    """Let the Beacon API show validators, by number, with another index or balance (by so much), or other fields."""
    client, ask = played.stage.client, played.stage.client.validators
    by_key = {validator(played, number).pubkey: fields for number, fields in changes.items()}

    def changed(info):
        shown = dict(by_key.get(bytes(info.validator.pubkey), {}))
        index, balance = info.index + shown.pop("index", 0), info.balance + shown.pop("balance", 0)
        fields = info.validator.copy()
        for name, value in shown.items():
            setattr(fields, name, value)
        return replace(info, index=index, balance=balance, validator=fields)

    monkeypatch.setattr(client, "validators", lambda ids, state: [changed(info) for info in ask(ids, state)])


# --- the command ---


@pytest.fixture
def run(played, monkeypatch, tmp_path):
    """Run the command on what was played before."""

    @contextmanager
    def play(_say, _days):
        yield played

    monkeypatch.setattr(story, "play", play)
    monkeypatch.setattr(demo, "OUT", tmp_path)
    return lambda *arguments: CliRunner().invoke(demo.cli, arguments)


def test_command__books_do_not_close__exits_with_one(run, closing, monkeypatch):
    wrong = replace(closing, checks=[Check("nothing is lost", 1, 2)])
    monkeypatch.setattr(books, "close", lambda _: wrong)
    done = run()
    assert done.exit_code == 1
    assert "nothing is lost: 1 != 2" in done.output
    assert "1 of 1 checks do not hold" in done.output


def test_command__books_close__writes_picture_and_numbers(run, played, closing, monkeypatch, tmp_path):
    monkeypatch.setattr(books, "close", lambda _: closing)
    done = run()
    assert done.exit_code == 0, done.output
    for part in ("The books close", "staker 10", "operator 3", "compromised", "withdrawal done"):
        assert part in done.output
    with (tmp_path / "demo.csv").open(encoding="utf-8") as file:
        rows = [pictures.Sample(**{name: int(value) for name, value in row.items()}) for row in csv.DictReader(file)]
    assert rows == played.stage.samples
    png = (tmp_path / "demo.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") >= 1_200


def test_command__devnet_does_not_start__one_line(run, monkeypatch):
    def play(_say, _days):
        raise DevnetError("anvil is not on PATH")

    monkeypatch.setattr(story, "play", play)
    done = run()
    assert done.exit_code == 1
    assert "Error: anvil is not on PATH\n" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("days", ["0", "many"])
def test_command__no_such_number_of_days__refused(run, days):
    assert run("--days", days).exit_code == 2


# --- history ---


def test_history__at_every_sample__equals_what_the_chain_said_then(played, closing):
    times = [sample.time for sample in played.stage.samples]
    assert times == sorted(set(times))
    samples = played.stage.samples
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
