"""What has gone wrong elsewhere with tokens, growth and calls, tried here. Numbers are the rows of tests/THREATS.md."""

from __future__ import annotations

import random
import re

import pytest

from floe import build
from tests import sources
from tests.calls import Stage, changing
from tests.evm import DAY, ETHER, ZERO, Contract, Evm, RevertError, reverts
from tests.protocol import OUTSIDER, RECEIVER, SAVER, SPENDER, STAKER, UNLIMITED, Protocol

PEOPLE = [STAKER, SAVER, RECEIVER, SPENDER]


@pytest.mark.parametrize("kind", ["FloePool", "RebasingToken"])
def test_bad_098_transfers__of_every_kind_to_everybody__conserve_shares(protocol: Protocol, kind: str):
    """To oneself, to the token, to nobody, of nothing, of a wei, of everything: the sum stays, third parties stay."""
    pool, token = protocol.pool, protocol.token
    coin: Contract = pool if kind == "FloePool" else token
    for person in (STAKER, SAVER):
        pool.approve(token, UNLIMITED, sender=person)
        token.wrap(40 * ETHER, sender=person)
    for person in PEOPLE:
        for spender in (STAKER, SPENDER):
            coin.approve(spender, UNLIMITED, sender=person)
    shares = pool.balanceOf if coin is pool else token.shares_of
    own = [pool.address, protocol.queue.address, token.address]
    dice = random.Random(98)

    def held() -> dict[str, int]:
        return {account: shares(account) for account in [*PEOPLE, *own]}

    before = held()
    total, supply = sum(before.values()), pool.totalSupply()
    moved = 0
    for _ in range(1_000):
        owner, sender = dice.choice(PEOPLE), dice.choice(PEOPLE)
        to = dice.choice(PEOPLE) if dice.random() < 0.9 else dice.choice([*own, ZERO])
        most = coin.balanceOf(owner)
        amount = dice.choice(
            [0, 1, dice.randint(0, ETHER), dice.randint(0, most), most + 1, most if to in PEOPLE else 1]
        )
        before = held()
        try:
            if sender == owner and dice.random() < 0.5:
                coin.transfer(to, amount, sender=owner)
            else:
                coin.transferFrom(owner, to, amount, sender=sender)
        except RevertError as error:
            assert error.reason in ("receiver: refused", "balance: too low", "allowance: too low")
            assert held() == before
            continue
        after = held()
        changed = {account for account in after if after[account] != before[account]}
        assert changed <= {owner, to}
        if owner == to:
            assert not changed
        moved += bool(changed)
        assert sum(after.values()) == total
    assert moved > 100
    assert pool.totalSupply() == supply


def test_bad_098_transfers__to_the_pool_and_the_queue__are_refused(protocol: Protocol):
    """So the pool's record of what waits is the queue's balance, whatever people send."""
    pool, queue = protocol.pool, protocol.queue
    protocol.request(ETHER)
    for lost in (pool, queue, ZERO):
        for call in (pool.transfer, lambda to, amount, **kw: pool.transferFrom(STAKER, to, amount, **kw)):
            with reverts("receiver: refused"):
                call(lost, 1, sender=STAKER)
    assert pool.balanceOf(queue) == ETHER == pool.state()[4] & 2**96 - 1


def test_bad_099_foreign_tokens__in_every_contract__are_never_called():
    """Only our own contracts are called, whoever gets ETH or a ticket, and what the timelock's proposers name.

    The gauge's reward tokens are the exception: what they can do to it is in test_gauge. Reading a source fails at a
    call through an interface that tests/sources.py does not know as one of these.
    """
    for contract in build.names(mocks=False):
        for function in sources.functions(contract).values():
            assert {callee for callee, _ in function.calls} <= set(build.names(mocks=False))
    strangers = {c for c in build.names(mocks=False) for f in sources.functions(c).values() if f.to_strangers}
    # The oracle's raw call is the pool's `fulfil`.
    ours = {"ReportOracle"}
    market = {"StablePair", "ExitReserve", "Gauge"}
    everywhere = {"FloePool", "WithdrawalQueue", "WithdrawalVault", "ValidatorRegistry", "Timelock"}
    assert strangers - ours == everywhere | market
    foreign = {name for name, function in sources.functions("Gauge").items() if function.to_strangers}
    assert foreign == {"claim", "claim_to", "claim_all", "notify"}


def test_bad_109_loops__in_every_contract__are_bounded_by_a_constant():
    """Over the caller's batches, forks, members, or a search that halves; never over holders, tickets or operators.

    In the liquidity room: over 8 reward tokens, over 64 tickets of the reserve's own, and a square root's few rounds.
    """
    loops: dict[str, list[str]] = {}
    for path in sorted((build.ROOT / "contracts").rglob("*.vy")):
        if "mocks" not in path.parts:
            found = re.findall(r"^\s*for \w+: \S+ in (.*):$", path.read_text(), re.MULTILINE)
            if found:
                loops[path.name] = sorted(found)
    assert loops == {
        "Gauge.vy": ["self.tokens", "self.tokens"],
        "Lens.vy": ["numbers"],
        "Pauser.vy": ["keys", "resumers"],
        "ValidatorRegistry.vy": ["keepers"] + ["proof.witnesses"] * 2 + ["range(count, bound=MAX_KEYS)"] * 3,
        "WithdrawalQueue.vy": ["range(len(tickets), bound=MAX_BATCH)", "shares"],
        "WithdrawalVault.vy": ["payloads"],
        "Zap.vy": ["[staticcall token.pool(), staticcall reserve.pool(), staticcall pair.pool()]"],
        "beacon_chain.vy": ["forks", "range(1, MAX_FORKS)", "range(MAX_SUBTREES)", "self.forks", "self.forks"],
        "committee.vy": sorted(
            [
                "range(MAX_MEMBERS)",
                "range(max(len(members), self.places[0] >> 168), bound=MAX_MEMBERS)",
                "range(place, bound=MAX_MEMBERS)",
                "range(self.places[0] >> 168, bound=MAX_MEMBERS)",
                "range(word >> 168, bound=MAX_MEMBERS)",
                "range(word >> 168, bound=MAX_MEMBERS)",
            ]
        ),
        "curve.vy": ["range(64)", "range(64)"],
        "instant_fee.vy": ["range(ROUNDS)"],
        "pull_back.vy": [
            "range(count, bound=MAX_REQUESTS)",
            "range(len(sources) // PUBKEY, bound=MAX_REQUESTS)",
        ],
        "ssz.vy": [
            "branch",
            "range(1, count, bound=MAX_NODES)",
            "range(MAX_DEPTH)",
            "range(count, bound=MAX_NODES)",
            "range(used, siblings, bound=MAX_BRANCH)",
        ],
        "stable_math.vy": ["range(ROUNDS)", "range(ROUNDS)"],
        "ticket_list.vy": ["self.entries", "self.entries"],
    }


def test_bad_109_origin__in_every_contract__is_never_asked_for():
    for path in (build.ROOT / "contracts").rglob("*.vy"):
        assert "tx.origin" not in path.read_text(), path


def test_bad_109_growth__a_hundred_times_the_tickets_and_points__costs_no_more_gas(evm: Evm, protocol: Protocol):
    pool, queue = protocol.pool, protocol.queue

    def cycle() -> dict[str, int]:
        """Measure one of each, the same every time."""
        gas = {}
        evm.travel(DAY)
        protocol.stake(3 * ETHER, OUTSIDER)
        gas["deposit"] = evm.gas_used
        pool.transfer(SAVER, ETHER // 3, sender=OUTSIDER)
        gas["transfer"] = evm.gas_used
        first = protocol.request(ETHER, OUTSIDER)
        gas["request"] = evm.gas_used
        protocol.report()
        gas["report"] = evm.gas_used
        pool.fulfil()
        gas["fulfil"] = evm.gas_used
        hint = queue.hint(first)
        queue.claim(first, hint, sender=OUTSIDER)
        gas["claim"] = evm.gas_used
        pool.redeem(ETHER // 3, OUTSIDER, OUTSIDER, sender=OUTSIDER)
        gas["instant exit"] = evm.gas_used
        return gas

    cycle()
    few = cycle()
    for _ in range(300):
        queue.request_many([ETHER // 300] * 2, STAKER, sender=STAKER)
        protocol.report()
        pool.fulfil()
    assert queue.tickets() > 600
    assert queue.points() > 300
    many = cycle()
    for name, gas in few.items():
        assert abs(many[name] - gas) < 400, name


def test_bad_109_batches__as_large_as_they_may_be__fit_into_a_block(evm: Evm, protocol: Protocol):
    queue = protocol.queue
    for sizes in ([ETHER // 100] * 64, [1] * 64):
        queue.request_many(sizes, STAKER, sender=STAKER)
        assert evm.gas_used < 3_000_000
    for end in range(ETHER // 100, 64 * ETHER // 100 + 1, ETHER // 100):
        evm.travel(3_600)
        protocol.report(tail=end)
        if protocol.pool.eligible() > 0:
            protocol.pool.fulfil()
    assert queue.points() == 64
    queue.claim_many(list(range(1, 65)), [], sender=OUTSIDER)
    assert evm.gas_used < 5_000_000
    protocol.lens.tickets(list(range(1, 129)))


def test_bad_109_stuffed_blocks__before_a_deadline__change_nothing(evm: Evm, protocol: Protocol):
    """Nothing is decided by being last: what ends by time has ended, whenever somebody gets round to it."""
    stage = Stage(protocol)
    keys = [key for key in changing("FloePool") if stage.calls[key].wait]
    assert keys == ["FloePool.declare_stale/0"]
    evm.travel(stage.calls[keys[0]].wait)
    with evm.undone():
        stage.calls[keys[0]].make(OUTSIDER)
        at_once = protocol.pool.eligible()
    evm.travel(DAY)
    stage.calls[keys[0]].make(OUTSIDER)
    assert protocol.pool.eligible() == at_once > 0
