"""The bench itself: what it lets pass, what it refuses, and that gas is as flat as it says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bench import flatness, gas, pictures
from bench.bars import BARS
from bench.flatness import (
    FULFIL,
    GAUGE_CLAIM,
    GAUGE_STAKE,
    HINT,
    HINT_ACROSS,
    NO_HINT,
    NO_HINT_ACROSS,
    PREDEPOSIT,
    PROVE,
    RESERVE_SALE,
    TOP_UP,
    Flatness,
)
from bench.liquidity import OPERATIONS as LIQUIDITY_OPERATIONS
from bench.node import Node, NodeError, Transaction
from bench.operations import OPERATIONS, measure
from bench.protocol import ETHER, Protocol
from bench.validators import OPERATIONS as VALIDATOR_OPERATIONS

FLAT = Flatness(
    steps=[1, 10, 100],
    by_points={
        HINT: [[50_000, 50_012]] * 3,
        NO_HINT: [[50_000], [58_000], [65_000]],
        HINT_ACROSS: [[], [55_000], [56_000]],
        NO_HINT_ACROSS: [[], [63_000], [71_000]],
        FULFIL: [[], [80_000], [80_012]],
    },
    by_tickets={FULFIL: [[80_000]] * 3},
    validators=[1, 2_000],
    by_validators={PREDEPOSIT: [[54_000]] * 2, PROVE: [[90_000]] * 2, TOP_UP: [[50_000]] * 2},
    stakers=[1, 100],
    by_stakers={GAUGE_STAKE: [[90_000]] * 2, GAUGE_CLAIM: [[70_000]] * 2},
    open_tickets=[1, 48],
    by_open_tickets={RESERVE_SALE: [[90_000]] * 2},
)
SOME = 123_456
"""Gas of what has no bar."""


@pytest.fixture(scope="module")
def node():
    with Node() as node:
        yield node


@pytest.fixture(scope="module")
def protocol(node):
    return Protocol(node, seed=7, days=1)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files of its own for the bench, and numbers just below all bars."""
    for name in ("GAS", "GAS_PICTURE", "FLATNESS", "FLATNESS_PICTURE"):
        monkeypatch.setattr(gas, name, tmp_path / getattr(gas, name).name)
    bars = {row.key: SOME if row.bar is None else row.bar for row in BARS}
    samples = {key: [bar - 1, bar - 1, bar] for key, bar in bars.items()}
    monkeypatch.setattr(gas, "measure", lambda: (samples, {"something else": [1, 2, 3]}, FLAT))
    return samples, tmp_path


# --- what passes and what does not ---


def test_main__at_the_bars__passes_and_writes_medians(files):
    samples, folder = files
    assert gas.main([]) == 0
    written = json.loads((folder / "gas.json").read_text())
    assert written == {key: gas[0] for key, gas in samples.items()}
    assert list(written) == list(samples)
    assert {file.name for file in folder.iterdir()} == {"gas.json", "gas.png", "flatness.csv", "flatness.png"}


def test_main__one_sample_above_a_bar__fails(files, capsys):
    samples, _ = files
    samples["wrap"][-1] += 1
    assert gas.main([]) == 1
    assert "wrap: 70,001 gas, above the bar of 70,000" in capsys.readouterr().out


def test_main__dearer_than_committed__fails_and_keeps_the_file(files, capsys):
    samples, folder = files
    gas.main([])
    before = (folder / "gas.json").read_text()
    samples["claim_hint"][:] = [56_000] * 3
    assert gas.main([]) == 1
    assert "claim_hint: 56,000 gas, 1 more than the committed 55,999" in capsys.readouterr().out
    assert (folder / "gas.json").read_text() == before


def test_main__dearer_and_accepted__passes_and_writes(files):
    samples, folder = files
    gas.main([])
    samples["claim_hint"][:] = [56_000] * 3
    assert gas.main(["--write"]) == 0
    assert json.loads((folder / "gas.json").read_text())["claim_hint"] == 56_000


def test_main__cheaper_than_committed__passes_and_writes(files):
    samples, folder = files
    gas.main([])
    samples["wrap"][:] = [60_000] * 3
    assert gas.main([]) == 0
    assert json.loads((folder / "gas.json").read_text())["wrap"] == 60_000


def test_main__operation_not_measured_any_more__fails(files, capsys):
    samples, _ = files
    gas.main([])
    del samples["unwrap"]
    assert gas.main([]) == 1
    assert "unwrap: no longer measured" in capsys.readouterr().out


def test_main__claim_grows_with_points__fails(files, monkeypatch, capsys):
    samples, _ = files
    steep = replace(FLAT, by_points=FLAT.by_points | {HINT: [[50_000], [50_000], [50_501]]})
    monkeypatch.setattr(gas, "measure", lambda: (samples, {}, steep))
    assert gas.main([]) == 1
    assert "claim with hint: 50,000 to 50,501 gas" in capsys.readouterr().out


# --- flatness ---


def test_problems__flat__none():
    assert FLAT.problems() == []


@pytest.mark.parametrize(
    ("growth", "key", "series"),
    [
        ("by_points", FULFIL, [[], [80_000], [80_801]]),
        ("by_tickets", FULFIL, [[80_000], [80_000], [80_801]]),
        # Linear: 100 points cost a hundred times what one costs.
        ("by_points", NO_HINT, [[50_000], [60_000], [150_000]]),
        # One step of the search more than halving needs.
        ("by_points", NO_HINT, [[50_000], [50_000 + 4 * flatness.HALVING + 1], [50_000]]),
        ("by_validators", PREDEPOSIT, [[54_000], [54_541]]),
        ("by_validators", PROVE, [[90_000], [90_901]]),
        ("by_validators", TOP_UP, [[50_000], [50_501]]),
        ("by_stakers", GAUGE_STAKE, [[90_000], [90_901]]),
        ("by_stakers", GAUGE_CLAIM, [[70_000], [70_701]]),
        ("by_open_tickets", RESERVE_SALE, [[90_000], [90_901]]),
    ],
)
def test_problems__grows__says_what(growth, key, series):
    found = replace(FLAT, **{growth: getattr(FLAT, growth) | {key: series}}).problems()
    assert len(found) == 1
    assert found[0].startswith(f"{key}: ")


def test_flatness__real_contracts__hold_up_to_a_hundred(node):
    measured = flatness.measure(node, seed=5, steps=(1, 10, 100), crowds=((1, 1), (5, 20)), stakers=(1, 64))
    assert measured.problems() == []
    assert measured.validators == [1, 100]
    for growth in (measured.by_validators, measured.by_stakers):
        assert all(len(series) == 2 for series in growth.values())
    assert all(len(series) == 3 for series in measured.by_open_tickets.values())
    assert all(len(samples) == flatness.CLAIMS for samples in measured.by_points[HINT])
    # What is read is there to be found: the search costs, and so does a ticket that two fulfilments paid.
    assert min(measured.by_points[NO_HINT][-1]) > max(measured.by_points[HINT][-1])
    assert min(measured.by_points[HINT_ACROSS][-1]) > max(measured.by_points[HINT][-1])


# --- the committed numbers ---


def test_gas_json__committed__names_every_operation_in_order_below_its_bar():
    committed = json.loads(gas.GAS.read_text())
    assert list(committed) == [row.key for row in BARS]
    assert all(type(gas) is int for gas in committed.values())
    assert all(committed[row.key] <= row.bar for row in BARS if row.bar is not None)
    # The floor of a vote is that of a vote that also keeps a bitmap; ours keeps none.
    assert all(committed[row.key] > row.floor for row in BARS if row.floor is not None and row.key != "vote")


def test_bars__table__is_in_itself_sound():
    assert len({row.key for row in BARS}) == len(BARS) == 29
    measured = set(OPERATIONS) | set(VALIDATOR_OPERATIONS) | set(LIQUIDITY_OPERATIONS) | {"claim_hint", "claim_no_hint"}
    assert measured == {row.key for row in BARS}
    assert {row.key for row in BARS if row.bar is None} == set(VALIDATOR_OPERATIONS) - {
        "predeposit_each",
        "prove_one",
        "prove_hundred_each",
    }
    assert all(row.floor < row.bar for row in BARS if row.bar is not None and row.floor is not None)
    assert all(row.bar < row.lido for row in BARS if row.bar is not None and row.lido is not None)


# --- how it is measured ---


def test_measure__twice__gives_the_same_and_leaves_no_trace(protocol):
    before = protocol.node.rpc("eth_getBlockByNumber", "latest", False)["stateRoot"]
    wanted = {key: OPERATIONS[key] for key in ("deposit_repeat", "transfer_new")}
    first = measure(protocol, wanted)
    assert measure(protocol, wanted) == first
    assert protocol.node.rpc("eth_getBlockByNumber", "latest", False)["stateRoot"] == before


def test_protocol__warm__has_no_zeros(protocol):
    for view in ("entry_rate()", "outside()", "buffer()", "locked()"):
        assert protocol.read(protocol.pool, view)[0] > 0
    assert protocol.read(protocol.pool, "entry_rate()")[0] != ETHER
    assert protocol.read(protocol.queue, "filled()")[0] < protocol.tail()
    assert protocol.read(protocol.queue, "points()")[0] == 1


def test_send__transaction_fails__says_why(protocol):
    outsider = protocol.account()
    snapshot = protocol.node.snapshot()
    with pytest.raises(NodeError, match="balance: too low"):
        protocol.gas([protocol.pool.transaction(outsider, "transfer(address,uint256)", protocol.holders[0], 1)])
    protocol.node.restore(snapshot)
    with pytest.raises(NodeError, match="no snapshot"):
        protocol.node.restore(snapshot)


def test_gas__plain_transfer__is_21000(protocol):
    sender, receiver = protocol.account(), protocol.account()
    assert protocol.gas([Transaction(sender, receiver, value=1)]) == [21_000]


def test_pictures__same_numbers__same_bytes(tmp_path):
    measured = {row.key: SOME if row.bar is None else row.bar for row in BARS}
    for number in (1, 2):
        pictures.draw_peers(measured, tmp_path / f"gas{number}.png")
        pictures.draw_flatness(FLAT, tmp_path / f"flatness{number}.png")
    for name in ("gas", "flatness"):
        first, second = ((tmp_path / f"{name}{number}.png").read_bytes() for number in (1, 2))
        assert first == second
        assert first.startswith(b"\x89PNG")
        assert len(first) < 150_000
