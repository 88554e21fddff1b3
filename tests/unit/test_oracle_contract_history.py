"""A thousand days of an honest committee: no report is refused, none is held, and the books are what the chain says.

The validators, their withdrawals and what was known at each reference slot are kept here, and so are the limits: what
the oracle's `headroom` and `last` say is worked out beside it from the pool's totals and the reports alone.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from tests.evm import DAY, ETHER, Evm, RevertError
from tests.oracle import LIMITS, Oracle, Report
from tests.protocol import GWEI, PARAMETERS, SAVER, STAKER, U96, Protocol

DAYS = 1_000
HAPPENS = {
    "deposit": 25,
    "top up": 20,
    "request": 15,
    "fulfil": 10,
    "instant exit": 5,
    "withdrawal": 10,
    "tips": 3,
    "gift to the vault": 3,
    "gift to the pool": 2,
    "gift to a validator": 2,
    "slashing": 1.5,
    "stale": 3.5,
}
"""What happens, and how often."""
YEAR = 365 * DAY


@dataclass
class Slashing:
    """Validators that were slashed and will lose a last part when `due`."""

    due: int
    penalty: int


class Chain:
    """A beacon chain and its people, in random but honest days."""

    def __init__(self, seed: int, staked: int) -> None:
        self.random = random.Random(f"oracle {seed}")
        self.evm = Evm()
        self.protocol = Protocol(self.evm)
        self.oracle = Oracle(self.protocol, genesis_time=self.evm.now - DAY)
        self.first = staked
        self.validators = 0
        """Wei of our validators, deposits that wait included."""
        self.credited = 0
        """Wei that the chain has paid to the vault for them."""
        self.slashings: list[Slashing] = []
        # The limits, worked out here.
        self.used, self.used_at, self.backlog = 0, self.evm.now, 0
        self.reports = self.losses = self.waits = 0
        self.done: Counter[str] = Counter()

    # --- what is true at a moment ---

    def words(self) -> tuple[int, int, int, int, int]:
        """Return assets, outside, pending loss, deposited and swept."""
        totals, _, away, _, _, flows, *_ = self.protocol.pool.state()
        return totals >> 96 & U96, away & U96, away >> 96 & U96, flows & U96, flows >> 96 & U96

    def observe(self) -> Report:
        """Return the honest report of this moment, by the rules of the observer."""
        state = self.protocol.pool.state()
        swept, taken = state[5] >> 96 & U96, state[7]
        received = self.evm.balance(self.protocol.withdrawal_vault) + swept + taken
        last = self.oracle.contract.last().withdrawn
        withdrawn = max(min(self.credited, received - taken), swept - self.validators, last)
        return Report(
            ref_slot=self.oracle.slot(),
            cl=self.validators,
            deposited_at_ref=state[5] & U96,
            withdrawn_at_ref=withdrawn,
            donated_at_ref=received - withdrawn,
            queue_tail_at_ref=self.protocol.queue.tail(),
            pending_loss=sum(slashing.penalty for slashing in self.slashings),
            raised_at_ref=state[5] >> 192,
        )

    # --- what happens ---

    def earn(self) -> None:
        """Let the validators earn a day's rewards, or, rarely, lose some."""
        if self.random.random() < 0.12:
            self.validators -= self.validators * self.random.randrange(200) // 10**6
        else:
            self.validators += self.validators * self.random.randrange(150) // 10**6
        for slashing in [each for each in self.slashings if each.due <= self.evm.now]:
            self.slashings.remove(slashing)
            self.validators -= min(self.validators, slashing.penalty * self.random.randrange(80, 101) // 100)

    def pay_out(self, amount: int) -> None:
        """Let validators pay the vault."""
        amount = min(amount, self.validators) // GWEI * GWEI
        self.validators -= amount
        self.credited += amount
        self.evm.fund(self.protocol.withdrawal_vault, amount)

    def slash(self) -> None:
        """Slash some validators; sometimes somebody proves it at once, and the registry raises 5 % of their stake."""
        stake = min(self.validators // 20, self.random.randrange(1, 40) * 32 * ETHER)
        self.validators -= stake // 4_096
        self.slashings.append(Slashing(self.evm.now + 18 * DAY, stake // self.random.randrange(200, 2_000)))
        if self.random.random() < 0.7:
            self.protocol.raise_pending_loss(stake // 20 // GWEI)

    def act(self) -> str:
        """Let one thing happen. Returns what."""
        pool, queue = self.protocol.pool, self.protocol.queue
        scale = max(self.words()[0] // 1_000, ETHER // 100)
        amount = self.random.randrange(1, 30 * scale)
        account = self.random.choice([STAKER, SAVER])
        (what,) = self.random.choices(list(HAPPENS), list(HAPPENS.values()))
        if what == "deposit":
            self.protocol.stake(amount, account)
        elif what == "top up":
            self.validators += self.protocol.to_validators()
        elif what == "request":
            queue.request(min(max(1, pool.balanceOf(account) // 3), amount), account, sender=account)
        elif what == "fulfil":
            pool.fulfil()
        elif what == "instant exit":
            pool.redeem(min(amount, pool.maxRedeem(STAKER)), STAKER, STAKER, sender=STAKER)
        elif what == "withdrawal":
            self.pay_out(self.random.choice([amount // 30, amount, 32 * ETHER, self.validators // 10]))
        elif what == "tips":
            self.evm.fund(self.protocol.execution_vault, amount // 100)
        elif what == "gift to the vault":
            self.evm.fund(self.protocol.withdrawal_vault, amount // 50)
        elif what == "gift to the pool":
            self.evm.force(pool, amount // 50)
        elif what == "gift to a validator":
            self.validators += min(amount // 10, 20 * ETHER)
        elif what == "slashing":
            self.slash()
        else:
            pool.declare_stale()
        return what

    def live(self, seconds: int) -> None:
        """Let some time pass, with whatever people do."""
        for _ in range(self.random.randrange(1, 5)):
            self.evm.travel(seconds // 4)
            try:
                self.done[self.act()] += 1
            except RevertError as error:  # nothing to pay, nothing to take, too early
                assert error.contract != "ReportOracle" and error.reason and "halt" not in error.reason, error

    # --- reports ---

    def submit(self, report: Report) -> None:
        """Submit an honest report: it must be booked, and change the books as is worked out here."""
        pool, contract = self.protocol.pool, self.oracle.contract
        assets, outside, pending, deposited, swept = self.words()
        raised = pool.state()[5] >> 192
        reported_at = pool.state()[3] >> 96 & 2**40 - 1
        rise = assets * PARAMETERS.rise_bps * (self.evm.now - reported_at) // (10_000 * YEAR)
        capacity = assets * LIMITS.window_bps // 10_000
        used = max(0, min(self.used, capacity) - capacity * (self.evm.now - self.used_at) // LIMITS.window)
        assert contract.headroom() == (
            rise,
            rise + self.backlog + assets * LIMITS.alarm_bps // 10_000 + 32 * ETHER + pool.deficit(),
            min(assets * LIMITS.loss_bps // 10_000, capacity - used),
            capacity - used,
            pending,
        )

        # What the validators are worth by this report, with what came in and went out since.
        worth = report.cl + deposited - report.deposited_at_ref + report.withdrawn_at_ref - swept
        known_loss = report.pending_loss + (raised - report.raised_at_ref) * GWEI
        result = worth - outside
        waiting = max(0, result - known_loss - rise)
        loss = max(0, known_loss - pending - result)
        assert contract.preview(report) == (loss, waiting, True)
        # It is only a view; the report itself must not be held either.
        places = self.random.sample(range(5), 3)
        voters = self.random.randrange(4) if self.random.random() < 0.1 else 0
        assert self.oracle.submit(report, places[voters:], voted=places[:voters]) is True
        assert not self.oracle.evm.events(contract, "Held")

        if loss:
            self.used, self.used_at = min(used + loss, U96), self.evm.now
        self.backlog = -(-waiting // ETHER) * ETHER
        self.reports, self.losses, self.waits = self.reports + 1, self.losses + (loss > 0), self.waits + (waiting > 0)
        assert contract.last() == (
            report.ref_slot,
            report.deposited_at_ref // GWEI * GWEI,
            report.withdrawn_at_ref // GWEI * GWEI,
            report.queue_tail_at_ref >> 31 << 31,
            self.backlog,
        )
        assert contract.pending() == (bytes(32), 0)

        # The books before exits were paid: outside less what is known to be lost is what the validators are worth.
        (booked,) = (event.fields for event in self.evm.events(pool, "Reported"))
        left = worth - booked["swept"] - waiting
        assert booked["outside"] == left - max(0, min(result, known_loss))
        assert booked["pending_loss"] == min(known_loss - max(0, min(result, known_loss)), booked["outside"])
        recognised = booked["gain"] - booked["tips"] - booked["gifts"] - booked["surplus"]
        assert recognised == result - waiting - max(0, min(result, known_loss))
        assert 0 <= max(booked["gain"], recognised) <= max(rise, 0) or booked["gain"] < 0

    def check(self) -> None:
        """Nobody is promised more than there is."""
        protocol, evm = self.protocol, self.evm
        assets, outside, pending, *_ = self.words()
        assert evm.balance(protocol.pool) >= assets - outside
        there = evm.balance(protocol.pool) + evm.balance(protocol.withdrawal_vault) + self.validators
        known = sum(slashing.penalty for slashing in self.slashings)
        assert assets - pending <= there + known

    def run(self) -> None:
        """Live a thousand days."""
        protocol, oracle, evm = self.protocol, self.oracle, self.evm
        oracle.next_frame()
        self.submit(self.observe())  # of a pool that has its seed and nothing else
        for account in (STAKER, SAVER):
            evm.fund(account, 10**9 * ETHER)
        protocol.stake(self.first)
        protocol.stake(self.first // 3, SAVER)
        self.validators += protocol.to_validators()
        day = 0
        while day < DAYS:
            silent = self.random.randrange(2, 15) if self.random.random() < 0.02 else 1
            day += silent
            for _ in range(silent):
                begins = oracle.time(oracle.slot() + oracle.frame_slots)
                self.live(max(0, begins - evm.now - 400))
                self.earn()
                evm.travel(begins - evm.now)
                report = self.observe()
            # Until the report is submitted, life goes on.
            self.live(self.random.randrange(400, 12 * 3_600))
            self.submit(report)
            self.check()


@pytest.mark.parametrize(
    ("seed", "staked", "waits"),
    [(1, 24 * ETHER, 10), (2, 3_000 * ETHER, 10), (3, 100_000 * ETHER, 0)],
    ids=["young", "small", "large"],
)
def test_bad_049_thousand_days__of_honest_reports__never_refused_and_never_held(seed: int, staked: int, waits: int):
    chain = Chain(seed, staked)
    chain.run()
    assert chain.reports > 750
    # Or it would have tried little: days with losses, and days with gains beyond what may be recognised.
    assert chain.losses > 40 and chain.waits >= waits
    assert min(chain.done[what] for what in HAPPENS) >= 3, chain.done
    assert chain.oracle.evm.now - chain.oracle.genesis_time > DAYS * DAY
