"""What `ape console` finds by name on a deployment."""

from __future__ import annotations

import ape
import pytest

import ape_console_extras
from floe import console
from floe.deploy import record
from floe.deploy.execute import deploy

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
    assert ape_console_extras.ape_init_extras() == {}
    assert "Floe is not deployed" in capsys.readouterr().out


def test_console__record_of_a_chain_that_is_gone__says_so(deployed, monkeypatch, capsys):
    done = record.read(deployed)
    assert done is not None
    ape.networks.active_provider.make_request("anvil_setCode", [done.address("FloePool"), "0x"])
    monkeypatch.setattr(record, "path", lambda _: deployed)
    assert ape_console_extras.ape_init_extras() == {}
    assert "Floe is not deployed" in capsys.readouterr().out


def test_console__every_contract__by_name(names, deployed):
    done = record.read(deployed)
    assert done is not None
    assert {name: names[name].address for name in console.NAMES.values()} == {
        console.NAMES[contract]: item.address for contract, item in done.contracts.items()
    }
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
    pool.report((0, 0, 0, 0, names["queue"].tail(), 0), sender=actors["oracle"])
    pool.fulfil(sender=actors["outsider"])
    before = me.balance
    assert names["claim"](ticket, sender=actors["outsider"]) == "2.500000"
    assert me.balance == before + 25 * ETHER // 10
    names["tickets"](me)
    [row] = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  2 ")]
    assert row[0] == "2"
    names["tickets"](actors["outsider"])
    assert "  2 " not in capsys.readouterr().out


def test_console__rates__are_the_lens(names, capsys):
    names["stake"]("10 ether")
    names["rates"]()
    rows = dict(line.rsplit(None, 1) for line in capsys.readouterr().out.splitlines() if line.strip().count("  "))
    assert rows["  entry rate"] == "1.000000000"
    assert rows["  buffer"] == "10.0000"
    assert rows["  may be deposited"] == "999,990.0000"


def test_console__no_account_named__asks_for_one(deployed):
    done = record.read(deployed)
    assert done is not None
    with pytest.raises(ValueError, match="name who sends"):
        console.Helpers(done).stake("1 ether")


def test_fmt__wei__as_eth_with_decimals():
    assert console.Helpers.fmt(1_234_567 * ETHER // 1_000) == "1,234.567000"
