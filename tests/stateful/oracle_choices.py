"""What the campaign tries with the oracle: honest reports, lies, reports just at a limit, votes, other committees."""

# ruff: noqa: D102 - a method is named after the action that it chooses

from __future__ import annotations

from floe.model.basics import BPS, DAY, ETHER, GWEI, UNLIMITED, YEAR, ZERO, Address, Revert
from floe.model.oracle import TAIL_UNIT, FrameReport
from tests.stateful.actions import Action
from tests.stateful.chooser import Chooser
from tests.stateful.oracle import agreed
from tests.stateful.world import (
    ADMIN,
    COUNCIL,
    MEMBERS,
    OPERATOR,
    OUTSIDER,
    REENTERER,
    REPORT_ORACLE,
    STAKERS,
    WITHDRAWAL_VAULT,
)


class OracleChoices(Chooser):
    """Chooses what happens at the oracle. Also plays the beacon chain that reports describe."""

    # --- reports ---

    def report(self) -> list[Action]:
        """Let time pass, let validators earn, lose and pay back, and let the committee report it."""
        pool = self.w.pool
        seconds = self._until_a_frame()
        since = self.w.chain.now + seconds - pool.report_at
        room = pool.assets * pool.parameters.rise_bps * since // (BPS * YEAR)
        inside = max(pool.deposited + self.earned - self.credited, 0)

        chance = self.random()
        if chance < 0.70:
            self.earned += self.upto(2 * room)
        elif chance < 0.85:
            self.earned -= self.upto(inside // 100)
        elif chance < 0.90:
            self.earned -= self.upto(inside // 2)
        elif chance < 0.92:
            self.earned -= inside
        if self.losing:
            if self.chance(40):
                self.earned -= min(self.losing, inside)
                self.losing = 0
            elif self.chance(30):
                self.losing = self.amount(self.losing)
        elif self.chance(10):
            self.losing = self.amount(inside // 60 if self.chance(60) else inside)
        inside = max(pool.deposited + self.earned - self.credited, 0)

        actions: list[Action] = [["travel", seconds]]
        if inside and self.chance(40):
            back = min(self.upto(inside // 4) if self.chance(80) else inside, self.creditable())
            self.credited += back
            inside -= back
            actions.append(["force", WITHDRAWAL_VAULT, back])
        else:
            back = 0
        return actions + self._agree(self._honest(inside, back, seconds), seconds)

    def _until_a_frame(self) -> int:
        """Seconds to wait, most likely until there is a frame that can be reported."""
        oracle, now = self.w.oracle, self.w.chain.now
        seconds = self.pick((0, 12, 3_600, DAY, DAY, DAY, DAY + 384, 3 * DAY, self.upto(30 * DAY)))
        first = oracle.time_of(oracle.next_slot()) - now
        return first if seconds < first and self.chance(93) else seconds

    def _slot(self, seconds: int) -> int:
        """Choose a reference slot, most likely of the newest frame; the others are older, or wrong."""
        oracle = self.w.oracle
        frame = oracle.frame_slots()
        newest = (self.w.chain.now + seconds - oracle.genesis_time) // oracle.seconds_per_slot // frame * frame
        chance = self.random()
        if chance < 0.88:
            return newest
        if chance < 0.95:
            return min(oracle.next_slot(), newest)
        return self.pick((newest + 1, newest + frame, oracle.ref_slot, max(newest - self.upto(300) * frame, 0), 2**41))

    def _honest(self, inside: int, back: int, seconds: int) -> FrameReport:
        """Describe the beacon chain as it is; perhaps as it was some time ago."""
        w, pool, oracle = self.w, self.w.pool, self.w.oracle
        received = w.chain.ether[WITHDRAWAL_VAULT] + back + pool.withdrawn + pool.donated
        # What lies made of it stays: principal that was taken for gifts, and gifts for principal.
        credited = max(min(self.credited, received - pool.donated), oracle.withdrawn_gwei * GWEI)
        given = max(received - credited, pool.donated)
        known = max(pool.deposited - oracle.deposited_gwei * GWEI, 0) if self.chance(95) else pool.deposited
        late = self.upto(min(inside, known)) if self.chance(20) else 0
        donated = given if self.chance(70) else pool.donated + self.upto(given - pool.donated)
        # Slashings since the reference slot: it came before some of what was raised, or before all of it.
        unknown = 0 if self.chance(70) else self.pick((pool.raised_gwei, self.upto(pool.raised_gwei)))
        first, tail = max(oracle.tail_units << TAIL_UNIT, w.queue.filled()), w.queue.tail()
        tail = tail if self.chance(70) else self.pick((first + self.upto(max(tail - first, 0)), self.upto(first)))
        report = FrameReport(
            self._slot(seconds), inside - late, pool.deposited - late, credited, donated, tail,
            max(self.losing - unknown * GWEI, 0), pool.raised_gwei - unknown, self.bits(2), self.bits(1),
        )  # fmt: skip
        return self._at_a_limit(report, seconds) if self.chance(12) else report

    def _at_a_limit(self, r: FrameReport, seconds: int) -> FrameReport:
        """Let validators have so much more or less that the report is just inside a limit, at it, or just outside."""
        w, pool, oracle = self.w, self.w.pool, self.w.oracle
        w.chain.now += seconds
        _, alarm, most_loss, _, _ = oracle.headroom()
        w.chain.now -= seconds
        after = r.cl + pool.deposited - r.deposited_at_ref + r.withdrawn_at_ref
        pending = r.pending_loss + (pool.raised_gwei - r.raised_at_ref) * GWEI
        before = pool.outside + pool.withdrawn + pending
        wanted = before + alarm if self.chance(50) else before - pool.pending_loss - most_loss
        more = wanted + self.pick((-1, 0, 0, 1)) - after
        if not 0 <= r.cl + more < 2**255:
            return r
        self.earned += more
        return r._replace(cl=r.cl + more)

    def _agree(self, report: FrameReport, seconds: int) -> list[Action]:
        """Let members sign or vote, bring the report, and let the council decide if it is held."""
        oracle, now = self.w.oracle, self.w.chain.now
        votes, signers, signatures = self._voices(report)
        actions = [*votes, ["submit", self.anybody(), list(report), signers, signatures]]
        self.w.chain.now += seconds
        try:
            held = not oracle.preview(report).inside
        except Revert:
            held = False  # it is not admissible, as far as can be seen now
        self.w.chain.now = now
        chance = self.random()
        if held and chance < 0.75:
            limit = oracle.parameters.resolve_time
            wait = self.pick((0, 0, 0, 12, self.upto(limit), limit)) if self.chance(95) else limit + 1
            decide = "accept" if chance < 0.6 else "reject"
            actions += [["travel", wait], [decide, self.councillor(), list(report)]]
        return actions

    def _voices(self, report: FrameReport) -> tuple[list[Action], int, list[list[str]]]:
        """Choose who agrees: votes, and the bitmap and the signatures of those who sign."""
        oracle = self.w.oracle
        places = [place for place, member in enumerate(oracle.members) if member != ZERO]
        wanted = oracle.quorum if self.chance(92) else self.pick((oracle.quorum - 1, len(places)))
        while len(places) > wanted:
            places.pop(int(self.random() * len(places)))
        signing = self.pick((0, 0, 0, 0, 40, 100))  # a vote is quicker, here
        votes: list[Action] = []
        signers, signatures = 0, []
        for place in places:
            member = oracle.members[place]
            signs = self.chance(signing)
            if signs:
                signers |= 1 << place
                signatures.append([member, "good"])
            if not signs or self.chance(10):
                votes.append(["vote", member, place, list(report)])
        if self.chance(2):  # an empty place, and a signature that is nobody's
            signers |= 1 << 31
            signatures.append([self.pick(MEMBERS), "invalid"])
        elif signatures and self.chance(8):
            one = self.pick(signatures)
            kind = self.pick(range(8))
            if kind == 0:
                one[0] = self.pick((*MEMBERS, REENTERER))
            elif kind == 1:
                signers |= 1 << self.pick((0, 1, 2, 5, 31, 32, 255))
            elif kind == 2:
                signatures.append(list(one))
            elif kind == 3:
                signatures[-1][1] = "short"
            else:
                one[1] = self.pick(("invalid", "other", "high s", "high s"))
        return votes, signers, signatures

    def _plain(self, slot: int) -> list[int]:
        """Fields of a report that says that nothing happened."""
        pool, oracle = self.w.pool, self.w.oracle
        withdrawn = max(pool.withdrawn, oracle.withdrawn_gwei * GWEI)
        return [
            slot, max(pool.outside - (withdrawn - pool.withdrawn), 0), pool.deposited, withdrawn, pool.donated,
            self.w.queue.tail(), pool.pending_loss, pool.raised_gwei, self.bits(1), 0,
        ]  # fmt: skip

    def _false(self, fields: list[int]) -> list[int]:
        """Change a report to say what cannot be true."""
        pool, vault = self.w.pool, self.w.chain.ether[WITHDRAWAL_VAULT]
        kind = self.pick(range(9))
        if kind == 0:
            fields[2] += 1 + self.upto(ETHER)
        elif kind == 1:
            fields[3] = max(fields[3] - 1 - self.upto(ETHER), 0)
        elif kind == 2:
            fields[4] = max(fields[4] - 1 - self.upto(ETHER), 0)
        elif kind == 3:
            fields[5] += 1 + self.upto(ETHER)
        elif kind == 4:
            fields[3] += vault + 1 + self.upto(ETHER)
        elif kind == 5:
            fields[4] += vault + 1 + self.upto(ETHER)
        elif kind == 6:
            fields[1] = self.pick((2**255, UNLIMITED, UNLIMITED - pool.deposited, self.bits(96)))
        elif kind == 7:
            fields[6] = self.pick((UNLIMITED, self.bits(96), self.bits(130), 0))
            fields[7] = self.pick((pool.raised_gwei + 1 + self.bits(30), UNLIMITED, 0, 0))
        else:
            fields[1:8] = [self.amount(field) for field in fields[1:8]]
        return fields

    def lie(self) -> list[Action]:
        """Let a committee whose members are not honest report what cannot be true."""
        seconds = self._until_a_frame()
        fields = self._false(self._plain(self._slot(seconds)))
        return [["travel", seconds], *self._agree(FrameReport(*fields), seconds)]

    def submit(self) -> Action:
        """Report now, whether there is a frame to report or not."""
        fields = self._plain(self._slot(0))
        report = FrameReport(*(self._false(fields) if self.chance(30) else fields))
        return ["submit", self.anybody(), list(report), *agreed(self.w)]

    def scarce_report(self) -> list[Action]:
        seconds = self._until_a_frame()
        report = FrameReport(*self._plain(self._slot(seconds)))
        return [["travel", seconds], ["scarce", ["submit", OUTSIDER, list(report), *agreed(self.w)]]]

    def other_report(self) -> Action:
        """Report past the oracle, which only another that the admin appointed may."""
        fields = self._plain(0)[1:8]
        having = sorted(a for role, a in self.w.pool.roles.members if role == "oracle" and a != REPORT_ORACLE)
        sender = self.pick(having) if having else self.anybody()
        return ["report", sender, *(self._false([0, *fields])[1:] if self.chance(60) else fields)]

    # --- votes, the council, the committee ---

    def vote(self) -> Action:
        oracle = self.w.oracle
        place = int(self.random() * (len(oracle.members) + 1)) if self.chance(95) else self.pick((32, 2**200))
        member = oracle.members[place] if place < len(oracle.members) else ZERO
        sender = member if member != ZERO and self.chance(80) else self.pick((*MEMBERS, OUTSIDER))
        known = self.pick([*oracle.votes.values()]) if oracle.votes else None
        return ["vote", sender, place, list(known) if known and self.chance(50) else self._plain(self._slot(0))]

    def councillor(self) -> Address:
        """Choose somebody who may decide on held reports, or now and then somebody else."""
        having = sorted(account for role, account in self.w.oracle.roles.members if role == "council")
        return self.pick(having) if having and self.chance(95) else self.anybody()

    def oracle_admin(self) -> Address:
        """Choose the oracle's admin, or now and then somebody else."""
        return ADMIN if ("admin", ADMIN) in self.w.oracle.roles.members and self.chance(92) else self.anybody()

    def decide(self) -> Action:
        oracle = self.w.oracle
        fields = list(oracle.held) if oracle.held and self.chance(90) else self._plain(oracle.ref_slot)
        return [self.pick(("accept", "accept", "reject")), self.councillor(), fields]

    def lapse(self) -> list[Action]:
        """Let the time run out in which the council may decide, or nearly; then it tries to, or the pause is over."""
        oracle, now = self.w.oracle, self.w.chain.now
        if oracle.held is None or oracle.deadline < now:
            return [self.decide()]
        return [["travel", oracle.deadline - now + self.pick((-1, 0, 1, 1))], self.decide()]

    def set_committee(self) -> Action:
        few: list[Address] = [self.pick(MEMBERS), self.pick((REENTERER, STAKERS[0], MEMBERS[0])), self.pick(MEMBERS)]
        kind = self.pick(range(8))
        if kind < 3:
            start = self.bits(2)
            return ["set_committee", self.oracle_admin(), [MEMBERS[(start + i) % 4] for i in range(3)], 2]
        if kind == 3:
            members, quorum = [*MEMBERS, REENTERER], 3
        elif kind == 4:
            members, quorum = [self.pick(MEMBERS)], 1
        elif kind == 5:
            members, quorum = few, self.pick((2, 2, 3))
        elif kind == 6:
            members, quorum = MEMBERS[: self.bits(2)], self.pick((0, 1, 2, 5, 2**255, 2**255 + 2))
        else:
            members, quorum = [MEMBERS[0], self.pick((ZERO, STAKERS[1], MEMBERS[0])), MEMBERS[2]], 2
        return ["set_committee", self.oracle_admin(), members, quorum]

    def remove_member(self) -> Action:
        place = int(self.random() * (len(self.w.oracle.members) + 1)) if self.chance(90) else self.pick((32, 2**200))
        return ["remove_member", self.councillor(), place]

    def set_limits(self) -> Action:
        loss = self.pick((10, 100, 100, 1_000))
        numbers = [
            self.pick((1, 1, 1, 2, 10, 225)),
            self.pick((3_600, DAY, DAY)),
            self.pick((3_600, DAY, DAY)),
            loss,
            self.pick((loss, max(loss, 300), 3_000)),
            self.pick((7 * DAY, 36 * DAY, 90 * DAY)),
            self.pick((10, 100, 1_000)),
        ]
        if self.chance(25):
            wrong = (
                0,
                9,
                1_001,
                1_575,
                1_576,
                3_001,
                3_599,
                7 * DAY - 1,
                90 * DAY + 1,
                2 * DAY - 3_600,
                2 * DAY,
                UNLIMITED,
            )
            numbers[int(self.random() * 7)] = self.pick((*wrong, UNLIMITED))
        return ["set_limits", self.oracle_admin(), *numbers]

    def change_oracle_role(self) -> Action:
        members = self.w.oracle.roles.members
        if ("council", COUNCIL) not in members and self.chance(70):
            return ["change_oracle_role", ADMIN, "grant", "council", COUNCIL]
        how, role = self.pick(("grant", "grant", "revoke", "renounce")), self.pick(("council", "council", "admin"))
        account = self.pick((OPERATOR, OUTSIDER, COUNCIL)) if role == "council" else OPERATOR
        sender = self.oracle_admin() if how != "renounce" or self.chance(30) else account
        return ["change_oracle_role", sender, how, role, account]
