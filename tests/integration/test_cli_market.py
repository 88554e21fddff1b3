"""`ape floe quote|sell|liquidity|risk` as people and machines meet them, on a real node."""

from __future__ import annotations

import json
import re
from typing import Any

import ape
import pytest

from floe.cli import risk
from floe.cli.amounts import show
from floe.cli.market import Market
from floe.cli.session import Floe
from floe.deploy import record as records
from floe.market.live import Live
from tests.integration.commands import Chain, chain, deployed, documented, fields, node, rows
from tests.integration.conftest import impersonated

__all__ = ["chain", "deployed", "node"]
"""Fixtures."""

ETHER = 10**18
DAY = 86_400
ALLOWANCE = (1_000 * ETHER + 10**9) // 20
"""Of instant exits: a twentieth of the pool and its seed."""
HASH = re.compile(r"transaction (0x[0-9a-f]{64})\n")


def let_pass(seconds: int) -> None:
    """Let time pass."""
    ape.chain.pending_timestamp += seconds
    ape.chain.mine(1)


def sent(chain: Chain, contract: str, printed: str) -> dict[str, Any]:
    """Return the arguments of the last transaction that a command says it has sent, which must be to a contract."""
    transaction = ape.networks.active_provider.web3.eth.get_transaction(HASH.findall(printed)[-1])
    assert transaction["to"] == chain.at[contract].address
    return dict(chain.at[contract].decode_input(transaction["input"])[1])


@pytest.fixture
def market(chain: Chain) -> Chain:
    """Return a chain with a pool of 1,000 ETH, of which 700 are with validators, a pair of 100 and a reserve of 60."""
    chain.say("stake", "1000", "-y", who="staker")
    chain.at["FloePool"].send_to_validators(700 * ETHER, sender=impersonated(chain.at["ValidatorRegistry"]))
    chain.say("liquidity", "add", "--ether", "100", "--floeth", "100", "-y", who="staker")
    chain.say("liquidity", "add", "--reserve", "--ether", "60", "-y", who="outsider")
    let_pass(DAY)  # what was provided a moment ago is not for sale yet
    chain.report()
    return chain


def floe() -> Floe:
    """Return the deployment as the commands see it."""
    found = records.read(records.path("local"))
    assert found is not None
    return Floe(ape.networks.active_provider, found)


# --- providing for the pair ---


def test_add__first_then_more__what_was_previewed(chain):
    staker, pool, pair = chain.actors["staker"], chain.at["FloePool"], chain.at["StablePair"]
    chain.say("stake", "50", "-y", who="staker")
    assert "brings both sides" in chain.refuse("liquidity", "add", "--ether", "1", who="staker")
    assert "the pair is empty" in chain.refuse("liquidity", "add", "--ether", "1", "--balanced", who="staker")
    printed = chain.say("liquidity", "add", "--ether", "10", "--floeth", "20", "-y", who="staker")
    assert rows(printed)["pay"] == "10.000000 ETH and 20.000000 floETH"
    assert pair.balances() == (10 * ETHER, 20 * ETHER)
    assert len(HASH.findall(printed)) == 2
    assert pool.allowance(staker, pair) == 0

    chain.say("liquidity", "add", "--ether", "2", "--balanced", "-y", who="staker")
    assert pair.balances() == (12 * ETHER, 24 * ETHER)
    chain.say("liquidity", "add", "--floeth", "2", "--balanced", "-y", who="staker")
    assert pair.balances() == (13 * ETHER, 26 * ETHER)

    before = pair.balanceOf(staker)
    receiver = chain.actors["outsider"].address
    printed = chain.say("liquidity", "add", "--ether", "1", "--receiver", receiver, "-y", who="staker")
    assert rows(printed)["receiver"] == receiver
    assert (pair.balances(), pair.balanceOf(staker)) == ((14 * ETHER, 26 * ETHER), before)
    minted = pair.balanceOf(receiver)
    assert 0 < sent(chain, "StablePair", printed)["min_liquidity"] <= minted
    assert printed.endswith("`ape floe liquidity stake` earns rewards with it\n")


def test_add__no_tolerance_named__what_is_quoted(market):
    quoted = market.at["StablePair"].preview_add(50 * ETHER, 0)
    large = market.say("liquidity", "add", "--ether", "50", "-y", who="staker")
    assert rows(large)["accepted"] == "what is quoted, less what rewards take in ten minutes"
    # What time alone takes is accepted: the fees of the first, released over a day, make liquidity dearer.
    least = sent(market, "StablePair", large)["min_liquidity"]
    assert quoted - quoted // 10**5 < least <= quoted
    named = market.say("liquidity", "add", "--ether", "50", "--slippage", "1.5", "-y", who="staker")
    assert rows(named)["accepted"] == "1.5 % less than quoted"


def test_remove__both_or_one__what_was_previewed(market):
    staker, pool, pair = market.actors["staker"], market.at["FloePool"], market.at["StablePair"]
    ether, shares = pair.preview_remove(10 * ETHER)
    before = pool.balanceOf(staker)
    printed = market.say("liquidity", "remove", "10", "-y", who="staker")
    assert pool.balanceOf(staker) - before == shares
    assert shares - 10 <= sent(market, "StablePair", printed)["min_shares"] <= shares
    assert f"removed 10.000000 flLP: {show(ether, 'ETH')} and {show(shares, 'floETH')}\n" in printed

    expected, before = pair.preview_remove_one(ETHER, False), pool.balanceOf(staker)
    printed = market.say("liquidity", "remove", "1", "--only", "floeth", "-y", who="staker")
    assert pool.balanceOf(staker) - before == pytest.approx(expected, rel=1e-9)
    assert sent(market, "StablePair", printed)["of_ether"] is False
    expected, before = pair.preview_remove_one(ETHER, True), pair.balances()[0]
    printed = market.say("liquidity", "remove", "1", "--only", "ether", "-y", who="staker")
    assert before - pair.balances()[0] == pytest.approx(expected, rel=1e-9)
    assert "ETH\n" in printed.splitlines(keepends=True)[-1]
    market.say("liquidity", "remove", "all", "-y", who="staker")
    assert pair.balanceOf(staker) == 0
    assert "holds 0.000000 flLP" in market.refuse("liquidity", "remove", "1", who="staker")


# --- providing for the reserve ---


def test_reserve__in_and_out__its_shares(market):
    outsider, reserve = market.actors["outsider"], market.at["ExitReserve"]
    shares = reserve.balanceOf(outsider)
    printed = market.say("liquidity", "remove", "--reserve", "20", "-y", who="outsider")
    assert reserve.balanceOf(outsider) == shares - 20 * ETHER
    assert reserve.cash() == 40 * ETHER
    assert printed.endswith("removed 20.000000 flRES: 20.000000 ETH\n")
    # Half of it goes to who sells, so not all shares can leave.
    market.at["FloePool"].approve(reserve, 20 * ETHER, sender=market.actors["staker"])
    reserve.sell(20 * ETHER, 0, sender=market.actors["staker"])
    assert "of yours can leave now" in market.refuse("liquidity", "remove", "--reserve", "all", who="outsider")
    market.say("liquidity", "remove", "--reserve", "10", "-y", who="outsider")
    assert reserve.balanceOf(outsider) == shares - 30 * ETHER


# --- the gauge ---


def test_gauge__stake_earn_claim_unstake__rewards_go_to_the_owner(market):
    staker, outsider = market.actors["staker"], market.actors["outsider"]
    pool, pair, gauge = market.at["FloePool"], market.at["StablePair"], market.at["Gauge"]
    assert rows(market.say("liquidity", "stake", "40", "-y", who="staker"))["rewards"] == "none now"
    assert gauge.staked(staker) == 40 * ETHER
    assert "nothing to claim" in market.refuse("liquidity", "claim", who="staker")
    gauge.add_reward(pool, staker, 7 * DAY, sender=impersonated(market.at["Timelock"]))
    pool.approve(gauge, 7 * ETHER, sender=staker)
    gauge.notify(pool, 7 * ETHER, sender=staker)
    printed = market.say("liquidity", "stake", "all", "--receiver", outsider.address, "-y", who="staker")
    assert rows(printed)["rewards"] == "floETH"
    assert pair.balanceOf(staker) == 0
    assert gauge.staked(outsider) == gauge.total_staked() - 40 * ETHER
    assert "in the gauge that `ape floe liquidity unstake` takes out" in market.refuse(
        "liquidity", "remove", "1", who="staker"
    )
    let_pass(DAY)
    before = pool.balanceOf(staker)
    printed = market.say("liquidity", "claim", "--owner", staker.address, "-y", who="outsider")
    earned = pool.balanceOf(staker) - before
    assert earned == pytest.approx(40 * ETHER * ETHER // gauge.total_staked(), rel=1e-3)  # a seventh of 7, by its part
    assert f"to {staker.address}" in printed.splitlines()[-1]
    market.say("liquidity", "unstake", "15", "-y", who="staker")
    assert (gauge.staked(staker), pair.balanceOf(staker)) == (25 * ETHER, 15 * ETHER)
    assert "has staked 25.000000 flLP" in market.refuse("liquidity", "unstake", "26", who="staker")
    market.say("liquidity", "unstake", "all", "-y", who="staker")
    assert gauge.staked(staker) == 0


def test_claim__many_tokens__in_one_transaction(market):
    staker, admin = market.actors["staker"], impersonated(market.at["Timelock"])
    pool, token, gauge = market.at["FloePool"], market.at["RebasingToken"], market.at["Gauge"]
    market.say("liquidity", "stake", "40", "-y", who="staker")
    market.say("wrap", "10", "-y", who="staker")
    for reward in (pool, token):
        gauge.add_reward(reward, staker, DAY, sender=admin)
        reward.approve(gauge, 5 * ETHER, sender=staker)
        gauge.notify(reward, 5 * ETHER, sender=staker)
    let_pass(2 * DAY)
    printed = market.say("liquidity", "claim", "-y", who="staker")
    assert len(HASH.findall(printed)) == 1
    assert [line.split()[1] for line in printed.splitlines()[-2:]] == ["floETH", "rfloETH"]
    assert [gauge.earned(staker, reward) for reward in (pool, token)] == [0, 0]


# --- the ways out ---


def test_quote__json__documented_and_what_the_contracts_say(market):
    found = market.json("quote", "--sell", "10")
    assert fields(found) - {"wait.for", "wait.seconds"} == documented("quote") - {"wait"}
    ways = {way["way"]: way for way in found["ways"]}
    assert list(ways) == ["queue", "instant", "reserve", "pair"]
    assert found["worth_wei"] == str(10 * ETHER)
    paid = {name: int(way["pays_wei"]) for name, way in ways.items()}
    assert paid == {
        "queue": 10 * ETHER,
        "instant": market.at["FloePool"].previewRedeem(10 * ETHER),
        "reserve": market.at["ExitReserve"].preview_sell(10 * ETHER),
        "pair": market.at["StablePair"].preview_sell(10 * ETHER),
    }
    for way in ways.values():
        assert (way["takes_shares"], way["why"]) == (str(10 * ETHER), None)
        assert int(way["cost_wei"]) == 10 * ETHER - int(way["pays_wei"])
    assert found["best"] == max(("instant", "reserve", "pair"), key=lambda name: paid[name])
    assert int(found["waiting_adds_wei"]) == 10 * ETHER - paid[found["best"]]
    assert sum(int(part["pays_wei"]) for part in found["in_parts"]) > paid[found["best"]]
    assert sum(int(part["shares"]) for part in found["in_parts"]) == 10 * ETHER


def test_quote__more_than_fits__each_part_and_why(market):
    found = market.json("quote", "--sell", "150")
    ways = {way["way"]: way for way in found["ways"]}
    assert int(ways["instant"]["takes_shares"]) == ALLOWANCE
    assert ways["instant"]["why"] == "50.000000 ETH may leave at once now"
    assert int(ways["reserve"]["takes_shares"]) == 60 * ETHER
    assert ways["reserve"]["why"] == "it has 60.000000 ETH"
    assert (ways["pair"]["takes_shares"], ways["pair"]["why"]) == (str(150 * ETHER), None)
    assert int(ways["pair"]["cost_ppm"]) > 300_000
    assert found["best"] == "pair"  # the only one that takes all
    printed = market.say("quote", "--sell", "150")
    assert "instant: takes 50.000000 floETH of it: 50.000000 ETH may leave at once now\n" in printed
    lines = rows(printed)
    assert lines["queue"].split()[:3] == ["150.0000", "150.000000", "█" * 20]
    assert lines["reserve"].split()[0] == "60.0000"
    assert "> most at once: pair, " in printed
    # The first of each way is cheap: together they bring more than the pair alone.
    parts = {part["way"]: int(part["shares"]) for part in found["in_parts"]}
    assert list(parts) == ["instant", "reserve", "pair"]
    assert sum(parts.values()) == 150 * ETHER
    assert sum(int(part["pays_wei"]) for part in found["in_parts"]) > int(ways["pair"]["pays_wei"]) + 30 * ETHER
    assert "> in parts it brings " in printed


def test_quote__nothing_there__closed_and_why(chain):
    chain.say("stake", "10", "-y", who="staker")
    found = chain.json("quote", "--sell", "1")
    ways = {way["way"]: way for way in found["ways"]}
    assert (found["best"], found["waiting_adds_wei"]) == (None, None)
    assert ways["instant"]["why"] == "closed until deposits or the next report make room"
    assert ways["reserve"]["why"] == "it has no ETH"
    assert ways["pair"]["why"] == "the pair has no liquidity, or floETH is worth nothing now (pair: no value)"
    printed = chain.say("quote", "--sell", "1")
    assert rows(printed)["pair"].split() == ["0.0000", "closed"]
    assert found["in_parts"] == []
    assert "> nothing pays at once: the queue does, " in printed


def test_quote__loss_pending__cost_against_what_the_queue_pays(market):
    market.report(pending_loss=5 * ETHER)
    found = market.json("quote", "--sell", "10")
    ways = {way["way"]: way for way in found["ways"]}
    worth = 10 * market.at["FloePool"].exit_rate()
    assert abs(int(found["worth_wei"]) - worth) <= 10
    assert worth < 9.96 * ETHER
    assert ways["instant"]["why"] == "closed while a known loss is not settled"
    assert int(ways["reserve"]["cost_ppm"]) - market.at["ExitReserve"].parameters().fee_max in (0, 1)  # rounded up
    # The pair takes it at the exit price too: it is not a way round the loss.
    assert int(ways["pair"]["cost_wei"]) > 0


@pytest.mark.parametrize(
    ("through", "contract"), [("instant", "FloePool"), ("reserve", "ExitReserve"), ("pair", "StablePair")]
)
def test_sell__through_a_way__at_least_about_the_quote(market, through, contract):
    staker, pool = market.actors["staker"], market.at["FloePool"]
    shares, before = pool.balanceOf(staker), staker.balance
    quoted = {way["way"]: int(way["pays_wei"]) for way in market.json("quote", "--sell", "4")["ways"]}[through]
    printed = market.say("sell", "4", "--through", through, "-y", who="staker")
    assert shares - pool.balanceOf(staker) == 4 * ETHER
    assert rows(printed)["through"] == through
    paid = staker.balance - before
    for hash_ in HASH.findall(printed):
        receipt = ape.networks.active_provider.web3.eth.get_transaction_receipt(hash_)
        paid += receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert paid == pytest.approx(quoted, rel=1e-9)
    assert 0.998 * quoted < sent(market, contract, printed)["min_assets"] <= paid
    assert printed.endswith(" for 4.000000 floETH\n")
    assert pool.allowance(staker, market.at[contract]) == 0


def test_trade__rewards_stream_in__no_tolerance_for_others_but_for_time(market):
    staker, pair = market.actors["staker"], market.at["StablePair"]
    market.report(cl=700 * ETHER + ETHER // 1_000)
    assert market.at["FloePool"].locked() > 0
    rate = market.at["FloePool"].entry_rate()
    let_pass(60)
    for words in (["sell", "60", "--through", "pair"], ["liquidity", "add", "--ether", "60"]):
        printed = market.say(*words, "-y", who="staker")
        assert rows(printed)["accepted"] == "what is quoted, less what rewards take in ten minutes"
    least, liquidity = sent(market, "StablePair", printed)["min_liquidity"], pair.balanceOf(staker) - 200 * ETHER
    assert 0 <= liquidity - least < liquidity // 10**4
    assert market.at["FloePool"].entry_rate() > rate


def test_sell__best__the_one_that_the_quote_names(market):
    best = market.json("quote", "--sell", "3")["best"]
    assert rows(market.say("sell", "3", "-y", who="staker"))["through"] == best
    refused = market.refuse("sell", "55", "--through", "instant", who="staker")
    assert refused == "not all of it can be sold at once. instant: 50.000000 ETH may leave at once now"
    nonce = market.actors["staker"].nonce
    assert market.say("sell", "3", "--dry-run", who="staker").endswith("dry run: nothing was sent\n")
    assert market.actors["staker"].nonce == nonce


# --- risk ---


def test_live__read_from_the_chain__the_contracts_answers_to_the_wei(market):
    pool, pair, reserve = (market.at[name] for name in ("FloePool", "StablePair", "ExitReserve"))
    staker = market.actors["staker"]
    market.say("sell", "7", "--through", "pair", "-y", who="staker")
    market.say("sell", "3", "--through", "reserve", "-y", who="staker")
    reserve.queue_exits(sender=staker)
    market.say("sell", "2", "--through", "reserve", "-y", who="staker")
    market.say("exit", "5", "-y", who="staker")
    let_pass(DAY // 3)
    live = Live(Market(floe()).state())
    assert live.pair is not None
    assert live.pool.exit_rate() == pool.exit_rate()
    assert (live.pair.price(), live.pair.fee()) == (pair.price(), pair.fee())
    for shares in (10**9, ETHER, 30 * ETHER):
        assert live.pool.preview_redeem(shares) == pool.previewRedeem(shares)
        assert live.pair.preview_sell(shares) == pair.preview_sell(shares)
        assert live.pair.preview_buy(shares) == pair.preview_buy(shares)
        assert live.pair.preview_add(shares, 0) == pair.preview_add(shares, 0)
        assert live.reserve.preview_sell(shares) == reserve.preview_sell(shares)


def test_risk__json__documented_and_what_the_contracts_say(market):
    found = market.json("risk")
    waits = {f"crowd.{wait}.{name}" for wait in ("wait", "reserve_wait") for name in ("for", "seconds")}
    assert fields(found) == documented("risk") - {"pair", "crowd.wait", "crowd.reserve_wait"} | waits
    assert not re.search(r": -?\d", json.dumps(found))
    pool, pair, reserve = (market.at[name] for name in ("FloePool", "StablePair", "ExitReserve"))
    prices = found["prices"]
    assert (prices["entry_wei"], prices["exit_wei"]) == (str(pool.entry_rate()), str(pool.exit_rate()))
    assert prices["pair_wei"] == str(pair.price() * pool.entry_rate() // ETHER)
    assert int(prices["average_seconds"]) >= DAY
    assert int(prices["average_wei"]) == pytest.approx(int(prices["pair_wei"]), rel=1e-12)  # nobody has traded
    assert found["reserve"]["cash_wei"] == str(reserve.cash())
    assert found["instant"] == {
        "limit_wei": str(ALLOWANCE),
        "allowance_wei": str(ALLOWANCE),
        "allowance_full_wei": str(ALLOWANCE),
        "closed": None,
    }
    crowd = found["crowd"]
    assert crowd["leaving_shares"] == str(pool.totalSupply() // 10)
    assert sum(int(part["shares"]) for part in crowd["parts"]) == pool.totalSupply() // 10
    assert all(int(part["last_ppm"]) <= 10_000 for part in crowd["parts"] if part["last_ppm"] is not None)
    assert int(crowd["cost_wei"]) == sum(int(part["cost_wei"]) for part in crowd["parts"]) > 0


def test_risk__mean_price__weighs_by_time(market):
    before = int(market.json("risk")["prices"]["pair_wei"])
    market.say("sell", "40", "--through", "pair", "-y", who="staker")
    after = int(market.json("risk")["prices"]["pair_wei"])
    assert after < before * 0.999
    let_pass(DAY // 4)
    prices = market.json("risk")["prices"]
    assert DAY <= int(prices["average_seconds"]) < 2 * DAY  # from the last block before a day ago
    seconds = int(prices["average_seconds"])
    assert int(prices["average_wei"]) == pytest.approx(before - (before - after) * (DAY / 4) / seconds, rel=1e-6)


def test_risk__node_that_forgets__as_far_as_it_goes(market, monkeypatch):
    let_pass(DAY // 2)
    ape.chain.mine(risk.RECENT)
    let_pass(60)
    known = risk._cumulative

    def forgetful(there: Market, block: int) -> tuple[int, int] | None:
        return known(there, block) if block >= there.floe.block - risk.RECENT else None

    monkeypatch.setattr(risk, "_cumulative", forgetful)
    found = market.json("risk")["prices"]
    assert 60 <= int(found["average_seconds"]) < DAY // 2
    monkeypatch.setattr(risk, "_cumulative", lambda *_: None)
    found = market.json("risk")["prices"]
    assert (found["average_wei"], found["average_seconds"]) == (None, None)


def test_risk__depth__is_what_the_chain_then_does(market):
    staker, pool, pair = market.actors["staker"], market.at["FloePool"], market.at["StablePair"]
    found, price = market.json("risk")["pair"], pair.price()
    pool.approve(pair, 2**256 - 1, sender=staker)
    with ape.chain.isolate():
        pair.sell(int(found["down_shares"]), 0, sender=staker)
        assert 0.98999 * price < pair.price() < 0.99001 * price
    with ape.chain.isolate():
        pair.buy(0, value=int(found["up_wei"]), sender=staker)
        assert 1.00999 * price < pair.price() < 1.01001 * price


def test_risk__the_crowd__is_what_the_chain_then_does(market):
    staker, pool = market.actors["staker"], market.at["FloePool"]
    crowd = market.json("risk")["crowd"]
    parts = {part["way"]: part for part in crowd["parts"]}
    assert int(parts["pair"]["shares"]) > 0
    assert int(parts["instant"]["shares"]) > 0
    pair, reserve = market.at["StablePair"], market.at["ExitReserve"]
    for contract in (pair, reserve):
        pool.approve(contract, 2**256 - 1, sender=staker)
    # At once instead of in pieces, which the curves and the fees hardly notice.
    quoted = {
        "instant": pool.previewRedeem(int(parts["instant"]["shares"])),
        "reserve": reserve.preview_sell(int(parts["reserve"]["shares"])) if int(parts["reserve"]["shares"]) else 0,
        "pair": pair.preview_sell(int(parts["pair"]["shares"])),
    }
    for name, paid in quoted.items():
        assert int(parts[name]["pays_wei"]) == pytest.approx(paid, rel=2e-4, abs=10), name
    pair.sell(int(parts["pair"]["shares"]), 0, sender=staker)
    after = pair.price() * pool.entry_rate() // ETHER
    assert int(crowd["price_after_wei"]) == pytest.approx(after, rel=1e-4)


def test_risk__people__tables_lines_and_picture(market, tmp_path):
    file = tmp_path / "new" / "risk.png"
    printed = market.say("risk", "--leaving", "20", "--patience", "0.2", "--picture", str(file))
    assert file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert file.stat().st_size > 20_000
    lines = rows(printed)
    assert lines["entry rate"].split() == ["1.000000000", "+0", "+0"]
    assert lines["exit reserve, of its target"].split()[0] == "60.0000"
    assert "200.000000 floETH want out, worth 200.000000 ETH; dearer than 0.2 % they wait" in printed
    assert "> it would cost them " in printed
    assert "> the last of them is paid " in printed
    assert printed.endswith(f"picture  {file}\n")


def test_risk__nobody_provides__says_so(chain, tmp_path):
    chain.say("stake", "100", "-y", who="staker")
    found = chain.json("risk")
    assert found["pair"] is None
    assert (found["prices"]["pair_wei"], found["prices"]["average_wei"]) == (None, None)
    assert [int(part["shares"]) for part in found["crowd"]["parts"]][:3] == [0, 0, 0]
    file = tmp_path / "risk.png"
    assert "nobody provides liquidity to it" in chain.say("risk", "--picture", str(file))
    assert file.stat().st_size > 5_000


def test_status__market__in_a_line(market):
    found = market.json("status")["market"]
    assert found["pair_wei"] == market.json("risk")["prices"]["pair_wei"]
    assert found["reserve_cash_wei"] == str(60 * ETHER)
    assert "Market: the pair pays 1.000000000 ETH for 1 floETH" in market.say("status")


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["quote"], "Missing option '--sell'"),
        (["quote", "--sell", "ten"], "'ten' is no amount"),
        (["quote", "--sell", "all"], "name an amount"),
        (["quote", "--sell", "5000"], "there are only"),
        (["sell", "1", "--through", "queue"], "'queue' is not one of"),
        (["sell", "1"], "holds 0.000000 floETH"),
        (["liquidity", "add"], "name what to add"),
        (["liquidity", "add", "--floeth", "1"], "holds 0.000000 floETH"),
        (["liquidity", "add", "--balanced"], "name one amount"),
        (["liquidity", "add", "--balanced", "--ether", "1", "--floeth", "1"], "name one amount"),
        (["liquidity", "add", "--reserve"], "the reserve takes ETH only"),
        (["liquidity", "add", "--reserve", "--ether", "1", "--floeth", "1"], "the reserve takes ETH only"),
        (["liquidity", "add", "--reserve", "--ether", "0.001"], "at least 0.01 ETH"),
        (["liquidity", "add", "--ether", "100000", "--floeth", "1"], "holds 0.000000 floETH"),
        (["liquidity", "remove", "1"], "holds 0.000000 flLP"),
        (["liquidity", "remove", "1", "--reserve"], "holds 0.000000 flRES"),
        (["liquidity", "remove", "1", "--reserve", "--only", "ether"], "the reserve pays ETH only"),
        (["liquidity", "remove", "1", "--only", "weth"], "'weth' is not one of"),
        (["liquidity", "stake", "1"], "holds 0.000000 flLP"),
        (["liquidity", "unstake", "1"], "has staked 0.000000 flLP"),
        (["liquidity", "claim"], "nothing to claim for"),
        (["liquidity", "claim", "--owner", "0x12"], "'0x12' is no address"),
        (["risk", "--leaving", "0"], "0.0 is not in the range"),
        (["risk", "--leaving", "101"], "101.0 is not in the range"),
        (["risk", "--patience", "-1"], "-1.0 is not in the range"),
        (["risk", "--picture", "/proc/nothing/here.png"], "--picture: "),
    ],
)
def test_command__what_it_is_told_is_wrong__one_line(chain, words, line):
    assert line in chain.refuse(*words)
