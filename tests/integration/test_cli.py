"""`ape floe status|stake|wrap|unwrap|exit|claim|tickets` as people and machines meet them, on a real node."""

from __future__ import annotations

import json
import re
from socket import socket
from typing import Any

import ape
import click
import pytest
from click.testing import CliRunner
from eth_account import Account
from rich.console import Console

from ape_floe.cli import cli
from floe.cli import actions, session
from floe.deploy import record as records
from floe.devnet.system_contracts import DEPOSIT_CONTRACT, genesis_accounts
from tests.integration.commands import Chain, chain, deployed, documented, fields, node, rows
from tests.integration.conftest import ROLES, impersonated, report

__all__ = ["chain", "deployed", "node"]
"""Fixtures."""

ETHER = 10**18
GWEI = 10**9
HASH = re.compile(r"transaction (0x[0-9a-f]{64})\n")
FULFIL = 2
"""Of the pool's flag Pausable; deposits are 1."""


# --- staking ---


def test_stake__yes__quote_hash_and_shares(chain):
    staker, pool = chain.actors["staker"], chain.at["FloePool"]
    before = staker.balance
    printed = chain.say("stake", "1.5", "ether", "-y", who="staker")
    assert pool.balanceOf(staker) == 15 * ETHER // 10
    quote = rows(printed)
    assert quote["account"] == staker.address
    assert quote["pay"] == "1.500000 ETH"
    assert quote["receive"] == "1.500000 floETH, at least 1.498500 floETH"
    assert printed.endswith("staked 1.500000 ETH for 1.500000 floETH\n")
    [hash_] = HASH.findall(printed)
    receipt = ape.networks.active_provider.web3.eth.get_transaction_receipt(hash_)
    assert (receipt["from"], receipt["to"], receipt["status"]) == (staker.address, pool.address, 1)
    paid = receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert before - staker.balance == 15 * ETHER // 10 + paid
    sent = pool.decode_input(ape.networks.active_provider.web3.eth.get_transaction(hash_)["input"])[1]
    assert sent["min_shares"] == 15 * ETHER // 10 * 999 // 1_000


def test_stake__no_or_dry_run__nothing_sent(chain):
    assert chain.refuse("stake", "1", who="staker", answer="n\n") == "you said no: nothing was sent"
    nonce = chain.actors["staker"].nonce
    printed = chain.say("stake", "1", "--dry-run", who="staker")
    assert printed.endswith("dry run: nothing was sent\n")
    assert chain.actors["staker"].nonce == nonce
    done = chain.run("stake", "1", who="staker", answer="y\n")
    assert done.exit_code == 0
    assert "Go on? [y/N]" in done.stdout
    assert chain.at["FloePool"].balanceOf(chain.actors["staker"]) == ETHER


def test_stake__for_a_receiver__who_gets_the_shares(chain):
    receiver = chain.actors["outsider"].address
    printed = chain.say("stake", "2", "--receiver", receiver.lower(), "-y", who="staker")
    assert rows(printed)["receiver"] == receiver
    assert chain.at["FloePool"].balanceOf(receiver) == 2 * ETHER


def test_stake__all__leaves_but_the_network_fee(chain):
    chain.say("stake", "all", "-y", who="staker")
    left = chain.actors["staker"].balance
    assert 0 < left < ETHER // 1_000
    assert "are needed" in chain.refuse("stake", "1", who="staker")
    ape.networks.active_provider.set_balance(chain.actors["staker"].address, 1)
    assert "has no ETH beyond the network fee" in chain.refuse("stake", "all", who="staker")


def test_stake__fewer_shares_than_accepted__refused(chain):
    refused = chain.refuse("stake", "1", "--min-shares", "1.1", "-y", who="staker")
    assert refused.endswith("fewer shares than the least you accept (slippage: too few shares)")
    chain.say("stake", "1", "--min-shares", "1", "-y", who="staker")


# --- wrapping ---


def test_wrap_unwrap__first_with_approval__the_same_shares(chain):
    staker, token, pool = chain.actors["staker"], chain.at["RebasingToken"], chain.at["FloePool"]
    chain.say("stake", "10", "-y", who="staker")
    first = chain.say("wrap", "4", "-y", who="staker")
    assert len(HASH.findall(first)) == 2
    assert token.shares_of(staker) == 4 * ETHER
    assert pool.allowance(staker, token) == 0
    pool.approve(token, 2**256 - 1, sender=staker)
    assert len(HASH.findall(chain.say("wrap", "all", "-y", who="staker"))) == 1
    assert (token.shares_of(staker), pool.balanceOf(staker)) == (10 * ETHER, 0)
    assert "10.000000 rfloETH that `ape floe unwrap` turns into floETH" in chain.refuse("exit", "1", who="staker")
    chain.say("unwrap", "2.5", "-y", who="staker")
    assert pool.balanceOf(staker) == 25 * ETHER // 10
    assert "holds 7.500000 rfloETH" in chain.refuse("unwrap", "8", who="staker")
    chain.say("unwrap", "all", "-y", who="staker")
    assert token.shares_of(staker) == 0
    assert "holds 0.000000 rfloETH" in chain.refuse("unwrap", "all", who="staker")


# --- leaving through the queue ---


def test_exit__until_claimed__tickets_tell_how_far_it_is(chain):
    staker, pool, queue = chain.actors["staker"], chain.at["FloePool"], chain.at["WithdrawalQueue"]
    chain.say("stake", "100", "-y", who="staker")
    pool.send_to_validators(pool.stakeable(), sender=impersonated(chain.at["ValidatorRegistry"]))  # all but a tenth
    printed = chain.say("exit", "4", "-y", who="staker")
    assert printed.endswith("ticket 1 for 4.000000 floETH; `ape floe tickets` follows it\n")
    assert "(report)" in rows(printed)["wait"]
    chain.say("exit", "8", "-y", who="staker")
    found = chain.json("tickets", who="staker")
    assert [one["state"] for one in found["tickets"]] == ["requested", "requested"]
    first, second = found["tickets"]
    frame = 8 * 12
    assert first["wait"]["for"] == "report"
    assert 0 < int(first["wait"]["seconds"]) <= frame + frame
    assert (second["ahead_shares"], second["waiting_worth_wei"]) == (str(4 * ETHER), str(8 * ETHER))
    assert "it waits for report" in chain.refuse("claim", "1")

    chain.report()  # makes both eligible; the oracle also pays what the buffer has
    first, second = chain.json("tickets", "--owner", staker.address, who="outsider")["tickets"]
    assert (first["state"], second["state"]) == ("paid", "partly paid")
    assert (first["claimable_wei"], first["wait"]) == (str(4 * ETHER), {"for": "claim", "seconds": "0"})
    parts = [int(second[name]) for name in ("paid_shares", "waiting_shares", "requested_shares")]
    buffer = 10 * ETHER + GWEI // 10  # the seed's part is there, too
    assert parts == [buffer - 4 * ETHER, 12 * ETHER - buffer, 8 * ETHER]
    assert second["wait"] == {"for": "validators", "seconds": None}
    table = chain.say("tickets", who="staker")
    assert re.search(r"^  1 +paid +4\.0000 +100 % +█{20} +0\.0000 +4\.0000 +0\.0000 +0\.0000 +claim it", table, re.M)
    assert re.search(
        r"^  2 +partly paid +8\.0000 +75 % +█{15} +0\.0000 +6\.0000 +2\.0000 +0\.0000 +not known", table, re.M
    )
    assert "validators: some have to be asked for ETH first" in table

    # Anyone claims all of it, for the owner, with hints that nobody had to pay for.
    before = staker.balance
    claimed = chain.say("claim", "--owner", staker.address, "-y", who="outsider")
    assert staker.balance == before + buffer
    assert f"ticket 2: 6.000000 ETH to {staker.address}\n" in claimed
    [hash_] = HASH.findall(claimed)
    sent = queue.decode_input(ape.networks.active_provider.web3.eth.get_transaction(hash_)["input"])[1]
    assert sent["hints"] == [queue.points()] * 2
    [second] = chain.json("tickets", who="staker")["tickets"]
    assert (second["ticket"], second["claimed_wei"], second["claimable_wei"]) == ("2", str(buffer - 4 * ETHER), "0")
    assert "nothing to claim for" in chain.refuse("claim", who="staker")
    assert "ticket 1 does not exist" in chain.refuse("claim", "1", "2")
    assert "nothing of ticket 2 is paid; it waits for validators" in chain.refuse("claim", "2")

    # A deposit brings what is missing, and the owner fetches it by number.
    chain.say("stake", "3", "-y", who="outsider")
    assert "> 1.999999 ETH can be paid to exits now" in chain.say("status")
    pool.fulfil(sender=chain.actors["outsider"])
    assert "ticket 2: 1.999" in chain.say("claim", "2", "-y", who="staker")
    assert chain.say("tickets", who="staker") == f"{staker.address} has no open ticket\n"


def test_exit__ticket_for_another__he_lists_it(chain):
    receiver = chain.actors["outsider"].address
    chain.say("stake", "3", "-y", who="staker")
    chain.say("exit", "all", "--receiver", receiver, "-y", who="staker")
    [ticket] = chain.json("tickets", who="outsider")["tickets"]
    assert (ticket["owner"], ticket["requested_shares"]) == (receiver, str(3 * ETHER))
    assert chain.json("tickets", who="staker")["tickets"] == []
    chain.at["WithdrawalQueue"].transferFrom(
        receiver, chain.actors["staker"].address, 1, sender=chain.actors["outsider"]
    )
    assert [one["ticket"] for one in chain.json("tickets", who="staker")["tickets"]] == ["1"]
    assert chain.json("tickets", who="outsider")["tickets"] == []


# --- leaving at once ---


def test_exit_instant__quote_and_slippage__never_less(chain):
    staker, pool = chain.actors["staker"], chain.at["FloePool"]
    chain.say("stake", "100", "-y", who="staker")
    closed = "nothing can leave at once until deposits or the next report make room"
    assert closed in chain.refuse("exit", "1", "--instant", who="staker")
    chain.report()
    assert "at most 5.000000 floETH of yours can leave at once" in chain.refuse("exit", "6", "--instant", who="staker")
    expected = pool.previewRedeem(2 * ETHER)
    before = staker.balance
    printed = chain.say("exit", "2", "--instant", "--slippage", "0.25", "-y", who="staker")
    quote = rows(printed)
    assert quote["receive"] == "1.998000 ETH, at least 1.993005 ETH"
    assert quote["fee in it"] == "0.002000 ETH, 0.100 %"
    [hash_] = HASH.findall(printed)
    receipt = ape.networks.active_provider.web3.eth.get_transaction_receipt(hash_)
    assert staker.balance == before + expected - receipt["gasUsed"] * receipt["effectiveGasPrice"]
    sent = pool.decode_input(ape.networks.active_provider.web3.eth.get_transaction(hash_)["input"])[1]
    assert sent["min_assets"] == expected * 9_975 // 10_000


def test_exit_instant__closed__why(chain):
    pool, guardian = chain.at["FloePool"], impersonated(chain.at["Pauser"])
    chain.say("stake", "100", "-y", who="staker")
    chain.report()
    now = ape.networks.active_provider.get_block("latest").timestamp
    pool.pause(4, now + 3_600, sender=guardian)
    assert "instant exits are paused" in chain.refuse("exit", "1", "--instant", who="staker")
    pool.pause(4, 0, sender=guardian)
    ape.chain.pending_timestamp += 5 * 86_400
    ape.chain.mine(1)
    assert "while reports are late" in chain.refuse("exit", "1", "--instant", who="staker")
    status = chain.say("status")
    assert "> reports have stopped: anyone may call declare_stale" in status


# --- status ---


def test_status__json__every_field_is_documented_and_every_integer_a_string(chain):
    chain.at["ValidatorRegistry"].add_operator(
        chain.actors["operator"], chain.actors["operator"], 1, 5, sender=chain.actors["council"]
    )
    chain.say("stake", "40", "-y", who="staker")
    chain.say("exit", "1", "-y", who="staker")
    report(chain.at, chain.actors, cl=100 * ETHER)  # from nowhere: held
    found = chain.json("status")
    assert found["oracle"]["held"]["digest"].startswith("0x")
    waits = {f"queue.wait_of_{which}.{name}" for which in ("last", "new") for name in ("for", "seconds")}
    alone = {"oracle", "queue.wait_of_last", "queue.wait_of_new"}  # named for what they hold, or null
    assert fields(found) == documented("status") - alone | waits
    assert not re.search(r": -?\d", json.dumps(found))
    waits = {"tickets[].wait.for", "tickets[].wait.seconds"}
    assert fields(chain.json("tickets", who="staker")) == documented("tickets") - {"tickets[].wait"} | waits


def test_status__numbers__are_the_contracts(chain):
    pool, registry, oracle = (chain.at[name] for name in ("FloePool", "ValidatorRegistry", "ReportOracle"))
    chain.say("stake", "1000", "-y", who="staker")
    pool.send_to_validators(300 * ETHER, sender=impersonated(registry))
    chain.say("exit", "10", "-y", who="staker")
    chain.report(pending_loss=5 * ETHER)
    found = chain.json("status")
    assert found["block"] == str(ape.chain.blocks.height)
    assert found["rates"] == {
        "entry_wei": str(pool.entry_rate()),
        "exit_wei": str(pool.exit_rate()),
        "supply_shares": str(pool.totalSupply()),
    }
    assert int(found["rates"]["exit_wei"]) < int(found["rates"]["entry_wei"])
    assets = found["assets"]
    assert (assets["buffer_wei"], assets["outside_wei"]) == (str(pool.buffer()), str(pool.outside()))
    assert assets["pending_loss_wei"] == str(pool.pending_loss())
    assert found["queue"]["tickets_waiting"] == "0"
    assert found["queue"]["tickets_ever"] == "1"
    assert found["oracle"]["members"] == [chain.actors["member"].address]
    assert (found["oracle"]["quorum"], found["oracle"]["appointed"]) == ("1", True)
    assert found["oracle"]["held"] is None
    headroom = oracle.headroom()
    assert found["oracle"]["headroom"]["loss_wei"] == str(headroom.loss)
    assert int(found["oracle"]["headroom"]["window_wei"]) < int(found["oracle"]["headroom"]["window_full_wei"])
    assert found["reports"]["last"] == found["time"]
    assert found["operators"] == []


def test_status__people__tables_and_bars(chain):
    pool = chain.at["FloePool"]
    chain.say("stake", "1000", "-y", who="staker")
    pool.send_to_validators(250 * ETHER, sender=impersonated(chain.at["ValidatorRegistry"]))
    chain.say("exit", "100", "-y", who="staker")
    printed = chain.say("status")
    lines = rows(printed)
    assert lines["buffer"] == f"750.0000   {'█' * 15}         75.00 %"
    assert lines["outside, with validators"] == f"250.0000   {'█' * 4}▉                   25.00 %"
    assert "Exits: 1 of 1 tickets wait, for 100.000000 ETH" in printed
    assert lines["waiting"].split() == ["100.0000", "█" * 20]
    assert lines["committee"] == "1 of 1 members must agree"
    assert lines["held for the council"] == "nothing"
    assert printed.rstrip().splitlines()[-2] == "Paused: nothing"
    assert "could be staked with validators" in printed


def test_status__validators__by_state_and_operator(chain):
    registry, operator = chain.at["ValidatorRegistry"], chain.actors["operator"]
    make_request = ape.networks.active_provider.make_request
    [contract] = [account for account in genesis_accounts() if account.address == DEPOSIT_CONTRACT]
    make_request("anvil_setCode", [contract.address, contract.code])
    for slot, value in contract.storage:
        make_request("anvil_setStorageAt", [contract.address, slot, value])
    registry.add_operator(operator, operator, 1, 4, sender=chain.actors["council"])
    keys = b"".join(bytes([number]) * 48 for number in (1, 2, 3))
    registry.predeposit(1, keys, bytes(3 * 96), sender=operator, value=5 * ETHER)
    found = chain.json("status")
    assert found["validators"]["predeposited"] == {"count": "3", "stake_wei": "0"}
    assert {one["count"] for state, one in found["validators"].items() if state != "predeposited"} == {"0"}
    [one] = found["operators"]
    assert one["manager"] == operator.address
    assert (one["open_validators"], one["validator_limit"], one["bond_wei"]) == ("3", "4", str(2 * ETHER))
    lines = rows(chain.say("status"))
    assert lines["predeposited"].split() == ["3", "█" * 20, "0.0000"]
    assert lines["1"].split()[:6] == [f"{operator.address[:10]}...", "1", "3", "of", "4", "0.0000"]


def test_status__paused__until_when_and_what_is_refused(chain):
    now = ape.networks.active_provider.get_block("latest").timestamp
    chain.at["FloePool"].pause(1 + FULFIL, now + 7_200, sender=impersonated(chain.at["Pauser"]))
    left = r"(2 h|1 h 59 min) more"
    assert re.search(f"^Paused: deposits for {left}; fulfilments for {left}$", chain.say("status"), re.M)
    assert chain.json("status")["pauses"]["fulfilments_until"] == str(now + 7_200)
    refused = chain.refuse("stake", "1", "-y", who="staker")
    assert refused == "deposits are paused: `ape floe status` says until when (deposit: paused)"


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["stake", "1.5x"], "'1.5x' is no amount of ETH"),
        (["stake", "0"], "the amount must be more than 0"),
        (["stake", "1000000"], "and 1,000,000.000000 ETH and up to"),
        (["stake", "1", "--receiver", "0x12"], "'0x12' is no address"),
        (
            ["stake", "1", "--receiver", "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266"],
            "a letter of this address is wrong",
        ),
        (["stake", "1", "--receiver", "0x" + "00" * 20], "(receiver: refused)"),
        (["stake", "1", "--min-shares", "all"], "name an amount"),
        (["stake", "1", "--account", "nobody"], "Account with alias 'nobody' not found"),
        (["stake"], "Missing argument 'AMOUNT...'"),
        (["wrap", "1"], "holds 0.000000 floETH"),
        (["exit", "1", "--slippage", "99"], "99.0 is not in the range"),
        (["exit", "1", "--fast"], "No such option: --fast"),
        (["claim", "7"], "ticket 7 does not exist"),
        (["claim", "x"], "'x' is not a valid integer"),
        (["claim", "1", "--owner", "0x" + "11" * 20], "name tickets or an owner, not both"),
    ],
)
def test_command__what_it_is_told_is_wrong__one_line(chain, words, line):
    assert line in chain.refuse(*words)


def invoke(*words: str) -> str:
    """Run a command that must fail; return its last line."""
    done = CliRunner(mix_stderr=False).invoke(cli, words)
    assert done.exit_code in (1, 2)
    usage, _, line = done.stderr.rpartition("Error: ")
    assert usage == "" or usage.startswith("Usage: ")
    assert line.count("\n") == 1, done.stderr
    return line.strip()


def test_connection__by_address__the_same_commands(deployed, monkeypatch):
    monkeypatch.setattr(records, "path", lambda _: deployed)
    uri = ape.networks.active_provider.uri
    staker = f"TEST::{ROLES.index('staker')}"
    done = CliRunner(mix_stderr=False).invoke(cli, ["stake", "1", "-y", "--account", staker, "--network", uri])
    assert (done.exit_code, done.stderr) == (0, "")
    done = CliRunner(mix_stderr=False).invoke(cli, ["status", "--json", "--network", uri])
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout)["rates"]["supply_shares"] == str(ETHER + GWEI)
    assert invoke("status", "--network", "ethereum:local:foundry").startswith("name the chain: --network http://")


def test_connection__nothing_there__one_line(monkeypatch, tmp_path):
    monkeypatch.delenv("WEB3_PROVIDER_URI", raising=False)
    with socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert (
            invoke("status", "--network", dead)
            == f"no node answers on {dead}: start it (`anvil`), or correct --network"
        )
    assert "No network in 'ethereum' named 'hodi'" in invoke("status", "--network", "ethereum:hodi:node")
    assert "No ecosystem named 'etherium'" in invoke("stake", "1", "--network", "etherium")
    assert "no node for ethereum:hoodi:node: set WEB3_PROVIDER_URI" in invoke(
        "status", "--network", "ethereum:hoodi:node"
    )
    monkeypatch.setattr(records, "path", lambda _: tmp_path / "none.json")
    uri = ape.networks.active_provider.uri
    for words in (["status"], ["stake", "1"], ["tickets"]):
        assert invoke(*words, "--network", uri) == f"Floe is not deployed on local: ape run deploy --network {uri}"


# --- key files ---


def test_wallet__key_file__asks_once_and_locks_again(chain, tmp_path, monkeypatch):
    from ape_accounts.accounts import KeyfileAccount

    key = Account.from_key(b"\x07" * 32)
    file = tmp_path / "saver.json"
    file.write_text(json.dumps(Account.encrypt(key.key, "open sesame", iterations=2)), encoding="utf-8")
    account = KeyfileAccount(keyfile_path=file)
    ape.networks.active_provider.set_balance(key.address, 10 * ETHER)
    monkeypatch.setenv("APE_ACCOUNTS_saver_PASSPHRASE", "open sesame")
    asked: list[str] = []

    def confirm(text: str, *_: Any, **__: Any) -> bool:
        asked.append(text)
        return True

    monkeypatch.setattr(click, "confirm", confirm)
    console = Console(file=(tmp_path / "out").open("w", encoding="utf-8"), width=120)
    with ape.networks.active_provider.network.use_provider(ape.networks.active_provider):
        floe = session.Floe(ape.networks.active_provider, _record(chain))
        terms = session.Terms(yes=False, dry_run=False, confirm=confirm)
        actions.stake(floe, session.Wallet(floe, account, terms, console), ETHER, None, None)
    assert asked == ["Go on?"]
    assert chain.at["FloePool"].balanceOf(key.address) == ETHER
    assert account.locked


def _record(chain: Chain) -> records.Record:
    found = records.read(records.path("local"))
    assert found is not None
    assert found.address("FloePool") == chain.at["FloePool"].address
    return found
