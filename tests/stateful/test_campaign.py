"""A short campaign, the sequences that once failed, and that a difference would be noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from floe import build
from floe.model.basics import ceil_div
from floe.model.pool import Pool
from floe.model.queue import Queue
from floe.model.registry import Registry, State
from tests.stateful import campaign
from tests.stateful.actions import perform
from tests.stateful.campaign import REGRESSIONS, Difference, Tally
from tests.stateful.scenes import worlds
from tests.stateful.validator_choices import ValidatorGuard, demand_the_same
from tests.stateful.validators import ValidatorWorld
from tests.stateful.world import CONTRACTS, MOCKS, OUTSIDER, POOL, REGISTRY_CONTRACT, STAKERS, Mismatch, World


@pytest.fixture(scope="module")
def made() -> dict[str, World]:
    return worlds(build.load_many([*CONTRACTS, *MOCKS, REGISTRY_CONTRACT]))


@pytest.mark.slow
def test_campaign__short__no_difference_and_nothing_left_out():
    tally, found = campaign.campaign(300_000, "short", jobs=2)
    assert found is None, f"{found.what}\n{found.to_json()}"
    assert tally.gaps() == []
    assert sum(tally.views.values()) > 1_000


@pytest.mark.parametrize("file", sorted(REGRESSIONS.glob("*.json")), ids=lambda file: file.stem)
def test_regression__replayed__holds(made: dict[str, World], file: Path):
    stored = Difference.from_json(file.read_text(encoding="utf-8"))
    assert campaign.replay(made[stored.scene], stored.actions, stored.seed) is None


def test_replay__same_actions_twice__start_from_the_same_state(made: dict[str, World]):
    actions = [["transfer", STAKERS[0], STAKERS[1], 5], ["travel", 60], ["wrap", STAKERS[1], 7]]
    states = []
    for _ in range(2):
        assert campaign.replay(made["warm"], actions, "any") is None
        states.append((made["warm"].pool.words(), dict(made["warm"].chain.ether)))
    assert states[0] == states[1]


def test_run__curve_rounds_up__is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch, made: dict[str, World]):
    def rounded_up(queue: Queue, position: int) -> int:
        i = queue.segment_of(position - 1) if position else 0
        if queue.filled_shares[i] == position:
            return queue.filled_ether[i]
        shares, ether = queue.filled_shares[i - 1], queue.filled_ether[i - 1]
        more = queue.filled_ether[i] - ether
        return ether + ceil_div((position - shares) * more, queue.filled_shares[i] - shares)

    monkeypatch.setattr(Queue, "value_until", rounded_up)
    found = campaign.run({}, 20_000, "rounding")
    assert found is not None
    shrunk = campaign.shrink(made[found.scene], found)
    assert 3 * len(shrunk.actions) <= len(found.actions)
    assert campaign.replay(made[shrunk.scene], shrunk.actions, shrunk.seed) == shrunk.what
    monkeypatch.undo()
    assert campaign.replay(made[shrunk.scene], shrunk.actions, shrunk.seed) is None
    assert Difference.from_json(shrunk.to_json()) == shrunk


def test_run__model_changes_although_it_reverts__is_found(monkeypatch: pytest.MonkeyPatch):
    honest = Pool.declare_stale

    def careless(pool: Pool) -> None:
        pool.stale_at += 1
        honest(pool)

    monkeypatch.setattr(Pool, "declare_stale", careless)
    found = campaign.run({}, 20_000, "careless")
    assert found is not None
    assert "although it reverted" in found.what


def test_sequence__registry_of_the_model_forgets_a_slashing__is_found_and_shrunk(
    monkeypatch: pytest.MonkeyPatch, made: dict[str, World]
):
    monkeypatch.setattr(Registry, "_raise_pending_loss", lambda *_: None)
    monkeypatch.setattr(campaign, "VALIDATOR_SHARE", 1)
    found = next(filter(None, (campaign.run_sequence(made, f"forgets/{n}", Tally()) for n in range(200))))
    shrunk = campaign.shrink(made[found.scene], found)
    assert len(shrunk.actions) <= 6
    assert {"slash", "prove"} <= {name for name, *_ in shrunk.actions}


def test_guard__validator_comes_back_from_the_dead__is_found(made: dict[str, World]):
    world = made["staked"]
    assert isinstance(world, ValidatorWorld)
    world.reset()
    guard = ValidatorGuard(world)
    key, validator = next((k, v) for k, v in world.registry.validators.items() if v.state == State.ACTIVE)
    world.registry.validators[key] = validator._replace(state=State.PROVEN)
    with pytest.raises(Mismatch, match="INV-14"):
        guard.step(["record_exits", OUTSIDER])
    with pytest.raises(Mismatch, match="differs"):
        world.check_all()


def test_honest_report__ether_that_the_beacon_chain_does_not_have__is_found(made: dict[str, World]):
    world = made["staked"]
    assert isinstance(world, ValidatorWorld)
    world.reset()
    next_frame = world.oracle.time_of(world.oracle.next_slot()) - world.chain.now
    perform(world, ["make_block", next_frame, 0])
    assert perform(world, ["honest_report", OUTSIDER, 0, 0]) is None
    world.beacon.validators[world.counted()[0]].balance -= 1
    with pytest.raises(Mismatch, match="INV-02: the books are not what the beacon chain says"):
        demand_the_same(world)


def test_check__storage_written_behind_the_model__is_found(made: dict[str, World]):
    world = made["warm"]
    world.reset()
    world.pool.balances[STAKERS[0]] -= 1
    world.pool.balances[STAKERS[1]] += 1
    with pytest.raises(Mismatch, match="shares of staker 0 differ"):
        world.check_all()
    world.reset()
    world.evm.message_call(STAKERS[0], STAKERS[1], b"", 1)
    with pytest.raises(Mismatch, match="ETH of staker"):
        world.check_all()
    world.reset()
    world.check_all()


def test_gaps__something_never_happened__is_named():
    assert "deposit never succeeded" in Tally().gaps()
    assert "nothing ever reverted with 'deposit: paused'" in Tally().gaps()
    tally = Tally()
    tally.outcomes["deposit", None] += 1
    tally.outcomes["deposit", "deposit: paused"] += 1
    tally.outcomes["settle", None] += 1
    assert "deposit never succeeded" not in tally.gaps()
    assert "nothing ever reverted with 'deposit: paused'" not in tally.gaps()
    assert "settle succeeded" in tally.gaps()


def test_main__too_few_transactions__fails_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(campaign, "CHUNK", 1)
    assert campaign.main(["--transactions", "100", "--jobs", "1"]) == 1
    assert "GAP: " in capsys.readouterr().out


def test_reasons__of_the_contracts__are_read_from_the_sources():
    found = campaign.reasons()
    assert set(campaign.UNREACHABLE) < found
    assert {"vault: balance too low", "report: raises ahead of pool", "access_control: account is missing role"} < found
    assert len(found) >= 50
    assert "seed: too small" not in found, "deployment is no part of the campaign"


def test_world__address_of_the_pool__is_what_the_registry_of_names_says(made: dict[str, World]):
    assert made["new"].evm.get_code(POOL)
