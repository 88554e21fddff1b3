"""What `ape console` finds by name on a deployment."""

from __future__ import annotations

from types import SimpleNamespace

import ape
import pytest

import ape_console_extras
from floe import console
from floe.deploy import execute, record
from floe.deploy.execute import deploy
from floe.deploy.plan import WETH

ETHER = 10**18


@pytest.fixture(scope="module")
def deployed(actors, config, tmp_path_factory):
    file = tmp_path_factory.mktemp("console") / "here.json"
    deploy(actors["deployer"], config, file)
    return file


@pytest.fixture
def names(deployed, monkeypatch):
    """Return the names of the console."""
    monkeypatch.setattr(record, "path", lambda _: deployed)
    return ape_console_extras.ape_init_extras()


def test_console__nothing_deployed__says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(record, "path", lambda _: tmp_path / "none.json")
    names = ape_console_extras.ape_init_extras()
    network = execute.network_name(ape.networks.active_provider)
    sentence = f"Floe is not deployed on {network}: ape run deploy --network http://127.0.0.1:8545"
    assert capsys.readouterr().out == sentence + "\n"
    assert names["beacon"] is None
    for name in (*console.NAMES.values(), *(name for name in console.HELPERS if name != "fmt")):
        assert repr(names[name]) == sentence
        with pytest.raises(RuntimeError, match=sentence):
            names[name]("1 ether")
        with pytest.raises(AttributeError, match=sentence):
            names[name].address  # noqa: B018
    assert names["fmt"](ETHER) == "1.000000"


def test_console__record_of_another_chain__says_so(deployed, monkeypatch, tmp_path, capsys):
    done = record.read(deployed)
    assert done is not None
    other = tmp_path / "local.json"
    record.write(done.model_copy(update={"genesis": "0x" + "00" * 32}), other)
    monkeypatch.setattr(record, "path", lambda _: other)
    names = ape_console_extras.ape_init_extras()
    assert "local.json is the record of another chain" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="another chain"):
        names["stake"]("1 ether")


def test_console__half_a_deployment__says_so(deployed, monkeypatch, tmp_path, capsys):
    done = record.read(deployed)
    assert done is not None
    half = tmp_path / "local.json"
    record.write(done.model_copy(update={"contracts": dict(list(done.contracts.items())[:3])}), half)
    monkeypatch.setattr(record, "path", lambda _: half)
    ape_console_extras.ape_init_extras()
    assert "not wholly deployed" in capsys.readouterr().out


def test_console__contracts_that_are_gone__says_so(deployed, monkeypatch, capsys):
    done = record.read(deployed)
    assert done is not None
    ape.networks.active_provider.make_request("anvil_setCode", [done.address("FloePool"), "0x"])
    monkeypatch.setattr(record, "path", lambda _: deployed)
    ape_console_extras.ape_init_extras()
    assert "nothing is where here.json says" in capsys.readouterr().out


def test_console__every_contract__by_name(names, deployed):
    done = record.read(deployed)
    assert done is not None
    assert set(console.NAMES) == {*done.contracts, WETH}
    for contract, name in console.NAMES.items():
        assert names[name].address == done.address(contract)
    assert names["me"] == ape.accounts.test_accounts[0]


def test_console__stake_request_claim__what_the_helpers_say(names, actors, capsys):
    me, pool = names["me"], names["pool"]
    names["stake"]("10 ether")
    assert pool.balanceOf(me) == 10 * ETHER
    ticket = names["request"]("2.5 ether")
    other = names["request"](3, sender=me)
    assert (ticket, other) == (1, 2)
    names["tickets"]()
    printed = capsys.readouterr().out
    assert "Open exits of everybody" in printed
    assert "2.5000" in printed
    assert names["report"](actors["member"]) == "booked, and exits were paid"
    before = me.balance
    assert names["claim"](ticket, sender=actors["outsider"]) == "2.500000"
    assert me.balance == before + 25 * ETHER // 10
    names["tickets"](me)
    [row] = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  2 ")]
    assert row[0] == "2"
    names["tickets"](actors["outsider"])
    assert "  2 " not in capsys.readouterr().out


def test_console__report__of_nobody_in_the_committee_or_outside_the_limits(names, actors):
    me, member = names["me"], actors["member"]
    with pytest.raises(ValueError, match=f"not in the oracle's committee: {me.address}"):
        names["report"]()
    names["stake"]("100 ether")
    with ape.reverts("committee: no quorum"):
        console.submit(names["oracle"], _newest(names), [], me)
    assert names["report"](member, cl=50 * ETHER, sender=actors["outsider"]).startswith("held: it is outside")
    assert names["pool"].outside() == 0
    with ape.reverts("report: not newer"):
        names["report"](member)


def _newest(names):
    now = ape.networks.active_provider.get_block("latest").timestamp
    return console.unchanged(names["pool"], names["queue"], names["oracle"], now)


def test_console__rates__are_the_lens(names, capsys):
    names["stake"]("10 ether")
    names["rates"]()
    rows = dict(line.rsplit(None, 1) for line in capsys.readouterr().out.splitlines() if line.strip().count("  "))
    assert rows["  entry rate"] == "1.000000000"
    assert rows["  buffer"] == "10.0000"
    assert rows["  may be deposited"] == "999,990.0000"


def test_console__market__what_reserve_and_pair_say(names, capsys):
    me, pool, pair, reserve = (names[name] for name in ("me", "pool", "pair", "reserve"))
    names["market"]()
    printed = capsys.readouterr().out
    assert "ETH in the pair" in printed
    assert "the pair's price" not in printed
    names["stake"]("20 ether")
    pool.approve(pair, 10 * ETHER, sender=me)
    pair.add_liquidity(8 * ETHER, 0, sender=me, value=9 * ETHER)
    reserve.deposit(7 * ETHER, me, sender=me, value=7 * ETHER)
    names["market"]()
    found = dict(line.strip().rsplit("  ", 1) for line in capsys.readouterr().out.splitlines() if "  " in line.strip())
    found = {name.strip(): amount for name, amount in found.items()}
    assert found["the reserve pays out"] == "7.0000"
    assert (found["ETH in the pair"], found["floETH in the pair"]) == ("9.0000", "8.0000")
    assert found["its price of an ETH's worth"] == names["fmt"](pair.price(), 9)
    assert found["fee of a trade there, from"] == f"{pair.fee() / 10_000:.2f} %"


def test_console__me_assigned__that_account_pays(names, actors, monkeypatch):
    shell = SimpleNamespace(user_ns=dict(names))
    monkeypatch.setattr(console, "get_ipython", lambda: shell)
    first, staker = names["me"], actors["staker"]
    before = first.balance
    shell.user_ns["me"] = staker
    names["stake"]("3 ether")
    assert names["pool"].balanceOf(staker) == 3 * ETHER
    assert first.balance == before
    names["stake"]("1 ether", sender=actors["outsider"])
    assert names["pool"].balanceOf(actors["outsider"]) == ETHER
    shell.user_ns["me"] = None
    with pytest.raises(ValueError, match="no account to send from"):
        names["stake"]("1 ether")


def test_console__no_account_named__asks_for_one(deployed):
    done = record.read(deployed)
    assert done is not None
    with pytest.raises(ValueError, match="no account to send from"):
        console.Helpers(done).stake("1 ether")


def test_fmt__wei__as_eth_with_decimals():
    assert console.Helpers.fmt(1_234_567 * ETHER // 1_000) == "1,234.567000"
