"""What must hold whatever the model says: the invariants of the books, of access, and of being able to leave.

A `Guard` looks at every action of a sequence; `finish` ends one. The numbers are those of the list of invariants.
"""

from __future__ import annotations

from collections import Counter
from operator import le, lt, xor
from random import Random

from floe.model.basics import BPS, GWEI, U95, U96, YEAR, ZERO, Address, Revert
from floe.model.oracle import FrameReport
from floe.model.tokens import ADMIN_ROLE, COUNCIL_ROLE, ORACLE_ROLE, PAUSER_ROLE
from tests.stateful.actions import Action, perform
from tests.stateful.oracle import ORACLE_CALLS, PREVIEW, VALID, agreed
from tests.stateful.world import (
    BURNER,
    CODED,
    COUNCIL,
    EXECUTION_VAULT,
    GORGER,
    OUTSIDER,
    POOL,
    QUEUE,
    REFUSER,
    REPORT_ORACLE,
    STAKERS,
    TOKEN,
    WITHDRAWAL_VAULT,
    Mismatch,
    World,
    encode_answer,
    encode_report,
)

REPORTING = frozenset(("report", "submit", "accept"))
"""Actions that may move the books by a report."""
U40 = 2**40 - 1
PAUSE_IN_TOTALS = U40 << 192
TIMES_IN_PAST = U40 << 96 | U40 << 216
NEVER_TAKES_ETHER: set[Address] = {REFUSER, BURNER, GORGER, TOKEN}
"""Owners that cannot be paid by somebody else's claim. Other worlds have more."""
MAY_NOT_FULFIL = frozenset(
    (
        None,
        "fulfil: paused",
        "fulfil: nothing to pay",
        "fulfil: too little",
        "pool: no value",
        "pool: total over 96 bits",
    )
)


def demand(condition: bool, what: str) -> None:
    """Raise Mismatch unless the condition holds."""
    if not condition:
        raise Mismatch(what)


def parts_of(action: Action) -> list[Action]:
    """Transactions and calls that an action makes, as actions of their own."""
    if action[0] == "ordered":
        _, account, _, reaction, outer = action
        return [outer, [reaction[0], account, *reaction[1:]]] if reaction else [outer]
    return [action]


def _includes(action: Action, name: str) -> bool:
    return any(part[0] == name for part in parts_of(action))


class Guard:
    """Remembers the state before an action and judges the one after."""

    def __init__(self, world: World) -> None:
        self.w = world
        self.queue_gifts = world.chain.ether[QUEUE] - claimable(world)
        """ETH forced into the queue, which belongs to nobody."""
        self.members = frozenset(world.pool.roles.members)
        self.fee_recipient = world.pool.fee_recipient
        self.other_oracle = False
        """Somebody reported past the oracle."""
        self._note_oracle()
        self.note()

    def note(self) -> None:
        """Take the state as it is now for the one before the next action."""
        pool = self.w.pool
        self.words, self.shares, self.assets = self.w.words, pool.shares, pool.assets
        self.entry = entry = pool.entry_value()
        self.exit = max(entry - pool.pending_loss, 0)
        self.surplus = self.w.chain.ether[POOL] - pool.assets + pool.outside
        self.filled, self.paid = self.w.queue.filled_shares[-1], self.w.queue.filled_ether[-1]

    def step(self, action: Action) -> None:
        """Judge the state after `action`."""
        action = action[1] if action[0] == "scarce" else action
        w, pool, name = self.w, self.w.pool, action[0]
        if name == "travel":
            self.note()
            return
        if name in ORACLE_CALLS or (name == "ordered" and action[3] and action[3][0] in ORACLE_CALLS):
            self._check_oracle(action)
        before, words = self.words, w.words
        if words == before and name != "force":
            if len(pool.roles.members) != len(self.members) or pool.fee_recipient != self.fee_recipient:
                self._check_access(action, before)
            return
        entry, exit_, shares, assets, surplus = self.entry, self.exit, self.shares, self.assets, self.surplus
        filled, paid_before = self.filled, self.paid
        self.note()
        reports = name in REPORTING or (name == "ordered" and action[3] and action[3][0] in REPORTING)
        if reports and _includes(action, "report"):
            self.other_oracle = True
        raised = (words[5] >> 192) - (before[5] >> 192)
        demand(raised >= 0, "INV-02: the raises of the pending loss fell")
        if not reports:
            # INV-04: the rates fall in reports only; the exit rate also by what the registry raises, and by no more.
            demand(self.entry * shares >= entry * self.shares, "INV-04: the entry rate fell")
            least = max(exit_ - raised * GWEI, 0) * self.shares
            demand(self.exit * shares >= least, "INV-04: the exit rate fell")
        elif name in REPORTING:
            # INV-10: fee shares are worth at most the fee's part of the gain, at the price before it. What the report
            # paid to exits, with their part of the pending loss, is no part of it.
            burnt, paid = self.filled - filled, self.paid - paid_before
            borne = pool.pending_loss * burnt // pool.shares + 1 if burnt else 0
            minted, gain = self.shares - shares + burnt, self.assets - assets + paid + borne
            most = max(gain, 0) * pool.parameters.fee_bps * shares
            demand(minted >= 0 and minted * entry * BPS <= most, "INV-10: fee above its part of the gain")
        # INV-03: every wei that came or went is in the books, and the books hold no wei that is not there.
        demand(self.surplus >= 0, "INV-03: the buffer is larger than the pool's ETH")
        if name == "force":
            if action[1] == QUEUE:
                self.queue_gifts += action[2]
        elif not reports:
            demand(self.surplus == surplus, "INV-03: ETH moved that was not booked")
        if (
            (words[0] ^ before[0]) & PAUSE_IN_TOTALS
            or (words[1] ^ before[1]) >> 176
            or (words[2] ^ before[2]) >> 192
            or (words[3] ^ before[3]) & TIMES_IN_PAST
            or words[5:] != before[5:]
            or len(pool.roles.members) != len(self.members)
            or pool.fee_recipient != self.fee_recipient
        ):
            self._check_access(action, before)

    def _note_oracle(self) -> None:
        oracle = self.w.oracle
        self.oracle_words = self.w.oracle_words
        self.slot, self.held, self.quorum = oracle.ref_slot, oracle.held, oracle.quorum
        self.committee, self.votes = list(oracle.members), dict(oracle.votes)
        self.frame, self.oracle_members = oracle.frame_slots(), frozenset(oracle.roles.members)
        self.limits, self.lost = oracle.parameters, (oracle.lost, oracle.lost_at)

    def _check_oracle(self, action: Action) -> None:
        """INV-20: one report a frame, and only if more than half of the committee agreed; the rest is the council's."""
        oracle = self.w.oracle
        if action[0] == "vote":
            demand((oracle.ref_slot, oracle.held) == (self.slot, self.held), "INV-20: a vote did more")
            self.votes = dict(oracle.votes)
            return
        if action[0] in ("submit", "accept", "reject") and self.w.oracle_words == self.oracle_words:
            return
        names = {part[0] for part in parts_of(action)}
        actors = {part[1] for part in parts_of(action)}
        if oracle.ref_slot != self.slot:
            demand(oracle.ref_slot > self.slot, "INV-20: two reports of a frame")
            demand(oracle.ref_slot % self.frame == 0, "INV-20: a report between frames")
            at = oracle.time_of(oracle.ref_slot)
            demand(at <= self.w.chain.now, "INV-20: a report about the future")
            if action[0] == "submit" and len(action) > 2:
                self._check_agreed(action)
            demand("submit" in names, "INV-20: a report came by itself")
            if action[0] == "submit" and oracle.held is None:
                self._check_damage()
        elif oracle.held != self.held:
            allowed = any((COUNCIL_ROLE, actor) in self.oracle_members for actor in actors)
            demand(allowed, "INV-18: a held report was decided without the council")
        admin = any((ADMIN_ROLE, actor) in self.oracle_members for actor in actors)
        council = any((COUNCIL_ROLE, actor) in self.oracle_members for actor in actors)
        if oracle.quorum != self.quorum or oracle.words()[0] != self.oracle_words[0]:
            demand(admin, "INV-18: the oracle was changed without its admin")
        if oracle.members != self.committee:
            demand(admin or council, "INV-18: the committee was changed by somebody else")
        present = sum(member != ZERO for member in oracle.members)
        demand(present >= oracle.quorum > len(oracle.members) // 2, "INV-20: no majority, or nobody to be one")
        self._note_oracle()

    def _check_damage(self) -> None:
        """INV-21: without the council, a report takes no more from the exit value than its limits say."""
        pool, p = self.w.pool, self.limits
        window = self.assets * p.window_bps // BPS
        lost, lost_at = self.lost
        used = max(min(lost, window) - window * (self.w.chain.now - lost_at) // p.window, 0)
        least = self.exit - min(self.assets * p.loss_bps // BPS, window - used)
        rounding = 3 * (self.shares + pool.shares)
        demand(pool.exit_value() * self.shares + rounding >= least * pool.shares, "INV-21: a loss beyond the limits")

    def _check_agreed(self, action: Action) -> None:
        """Count by place who signed or voted for what was submitted."""
        _, _, fields, signers, signatures = action
        bits = [place for place in range(256) if signers >> place & 1]
        report, agreed = FrameReport(*fields), set()
        for place, (signer, form) in zip(bits, signatures, strict=True):
            if form in VALID and place < len(self.committee) and self.committee[place] == signer:
                agreed.add(place)
        demand(len(agreed) == len(bits), "INV-20: a signature counted that is none")
        agreed |= {place for place, vote in self.votes.items() if vote == report and self.committee[place] != ZERO}
        demand(len(agreed) >= self.quorum, "INV-20: a report without a quorum")

    def _check_access(self, action: Action, before: tuple[int, ...]) -> None:
        """INV-18: what only a role may change was changed by one who holds it."""
        pool = self.w.pool
        totals, stream, away, past, _, flows, parameters, donated = map(xor, before, self.words)
        touched = []
        if parameters or stream >> 176 or pool.fee_recipient != self.fee_recipient:
            touched.append("admin")
        if donated or (flows >> 96 & U96 and not _includes(action, "declare_stale")) or past >> 96 & U40:
            touched.append("oracle")
        if flows & U96 or flows >> 192:
            touched.append("registry")
        if totals >> 192 & U40 or away >> 192 & U40 or past >> 216:
            touched.append("pauser")
        actors = {part[1] for part in parts_of(action)}
        if any(part[0] in ORACLE_CALLS for part in parts_of(action)):
            actors.add(REPORT_ORACLE)
        for role in touched:
            allowed = any((role, actor) in self.members for actor in actors)
            demand(allowed, f"INV-18: changed without the role {role}")
        self.fee_recipient = pool.fee_recipient
        if pool.roles.members != self.members:
            moved = {account for _, account in self.members ^ pool.roles.members}
            allowed = any(("admin", actor) in self.members for actor in actors) or moved <= actors
            demand(allowed, "INV-18: roles changed without the role admin")
            self.members = frozenset(pool.roles.members)


def claimable(w: World) -> int:
    """Wei that all claims together would pay now."""
    return sum(w.queue.claimable(ticket) for ticket in range(1, len(w.queue.ends)))


def check_books(w: World, queue_gifts: int) -> None:
    """Check all sums. The model's state equals the contracts' (`World.check_all`), so its numbers serve."""
    pool, queue, token, ether = w.pool, w.queue, w.token, w.chain.ether
    demand(sum(pool.balances.values()) + pool.waiting == pool.shares, "INV-01: shares are not the sum of balances")
    demand(sum(token.shares_of.values()) == token.total_shares, "INV-01: wrapped shares are not their sum")
    demand(pool.balances.get(TOKEN, 0) >= token.total_shares, "INV-01: wrapped shares are not backed")
    demand(0 <= pool.outside <= pool.assets, "INV-02: more outside than there is")
    demand(pool.buffer() <= ether[POOL], "INV-03: the buffer is larger than the pool's ETH")
    demand(pool.locked() <= pool.assets and pool.pending_loss <= pool.outside, "INV-02: more locked than there is")
    demand(claimable(w) + queue_gifts == ether[QUEUE], "INV-06: claims are not what was paid in")
    demand(all(map(lt, queue.filled_shares, queue.filled_shares[1:])), "INV-08: the curve goes back")
    demand(all(map(le, queue.filled_ether, queue.filled_ether[1:])), "INV-08: the curve falls")
    demand(all(map(lt, queue.ends, queue.ends[1:])), "INV-08: the line falls")
    demand(queue.tail() == queue.filled() + pool.waiting, "INV-08: the line is not filled and waiting")
    demand(pool.eligible <= pool.waiting, "INV-08: more eligible than waiting")
    counted = Counter(queue.owners)
    del counted[ZERO]
    demand(counted == {owner: n for owner, n in queue.held.items() if n}, "INV-01: tickets are not counted right")
    total = sum(map(w.evm.get_balance, ether))
    demand(total == w.total_ether, "INV-02: ETH came from nowhere")


def finish(w: World, guard: Guard, seed: str) -> None:
    """End a sequence: go in and out, report, pay, let everybody claim, check everything and the books."""
    random = Random(seed)
    _round_trip(w, random)
    _live(w, random, guard)
    _everybody_claims(w, random)
    w.check_all()
    check_books(w, guard.queue_gifts)
    left = {w.queue.owners[t] for t in range(1, len(w.queue.ends)) if w.queue.claimable(t)}
    demand(left <= NEVER_TAKES_ETHER - CODED, "INV-06: what was paid cannot be claimed")


def _round_trip(w: World, random: Random) -> None:
    """INV-05: who goes in and out at once has not more than before."""
    pool, guest = w.pool, OUTSIDER
    before, had = w.chain.ether[guest], pool.balances.get(guest, 0)
    amount = random.choice((1, 2, 10**9 + 1, random.randrange(10**20), random.randrange(pool.assets // 10 + 2)))
    if random.random() < 0.5:
        entered = perform(w, ["deposit", guest, amount, amount, guest])
    else:
        entered = perform(w, ["mint", guest, pool.preview_mint(amount), amount, guest])
    shares = pool.balances.get(guest, 0) - had
    if entered is not None or shares == 0:
        return
    if random.random() < 0.5:
        left = perform(w, ["redeem", guest, shares, guest, guest])
    else:
        left = perform(w, ["withdraw", guest, pool.preview_redeem(shares), guest, guest])
    if left is None and pool.balances.get(guest, 0) == had:
        demand(w.chain.ether[guest] <= before, "INV-05: a round trip made a profit")
    if pool.balances.get(guest, 0) < had:
        raise Mismatch("INV-05: a round trip took more shares than it gave")


def _live(w: World, random: Random, guard: Guard) -> None:
    """INV-19: a holder can ask to leave, the next honest report is taken, and anyone can make the pool pay."""
    pool, queue = w.pool, w.queue
    holder = next((account for account in STAKERS if pool.balances.get(account, 0)), None)
    if holder is not None and queue.tail() < U95:
        demand(perform(w, ["request", holder, 1, holder]) is None, "INV-19: a holder cannot ask to leave")
    if not guard.other_oracle:
        _report(w, random)
    demand(perform(w, ["fulfil", OUTSIDER]) in MAY_NOT_FULFIL, "INV-19: fulfil is stuck")


def _report(w: World, random: Random) -> None:
    """INV-19: the honest report of the next frame is taken, if the oracle has its roles: booked, or by the council."""
    pool, oracle = w.pool, w.oracle
    if not all((role, REPORT_ORACLE) in pool.roles.members for role in (ORACLE_ROLE, PAUSER_ROLE)):
        return
    w.travel(max(oracle.time_of(oracle.next_slot()) - w.chain.now, 0))
    room = pool.assets * pool.parameters.rise_bps * (w.chain.now - pool.report_at) // (BPS * YEAR)
    most_shares = pool.shares + room * pool.shares // (5 * (pool.entry_value() or 1))
    if max(pool.assets + room, most_shares) > U96:
        return
    fields = honest(w, random)
    demand(perform(w, ["submit", OUTSIDER, fields, *agreed(w)]) is None, "INV-19: an honest report is refused")
    if oracle.held is not None and (COUNCIL_ROLE, COUNCIL) in oracle.roles.members:
        demand(perform(w, ["accept", COUNCIL, fields]) is None, "INV-19: an honest report that is held is refused")
        demand(oracle.held is None, "INV-19: an honest report stays held")


def check_admissible(w: World, guard: Guard, random: Random) -> None:
    """INV-19: after any step the oracle would look at the honest report of the next frame, with nobody's help."""
    if guard.other_oracle:
        return
    now = w.chain.now
    w.travel(max(w.oracle.time_of(w.oracle.next_slot()) - now, 0))
    report = FrameReport(*honest(w, random))
    try:
        expected = encode_answer(tuple(map(int, w.oracle.preview(report))))
    except Revert as revert:
        raise Mismatch(f"INV-19: an honest report would be refused: {revert.reason}") from None
    data = w.oracle_selectors[PREVIEW] + encode_report(report)
    got = w.evm.message_call(OUTSIDER, REPORT_ORACLE, data, 0, None, None, True)
    w.evm.reset_transient_storage()
    demand(got == expected, f"preview says {got.hex()}, model {expected.hex()}")
    w.travel(now - w.chain.now)


def honest(w: World, random: Random) -> list[int]:
    """Fields of a report of the newest frame that fits all that the chain knows."""
    pool, oracle, vault = w.pool, w.oracle, w.chain.ether[WITHDRAWAL_VAULT]
    told = max(oracle.withdrawn_gwei * GWEI - pool.withdrawn, 0)
    back = random.randrange(told, max(vault, told) + 1)
    frame = oracle.frame_slots()
    slot = (w.chain.now - oracle.genesis_time) // oracle.seconds_per_slot // frame * frame
    return [
        slot, max(pool.outside - back, 0), pool.deposited, pool.withdrawn + back, pool.donated + vault - back,
        w.queue.tail(), random.choice((0, 0, pool.outside // 100, pool.outside)), random.choice((0, pool.raised_gwei)),
        0, 0,
    ]  # fmt: skip


def _everybody_claims(w: World, random: Random) -> None:
    """INV-06: everything that was paid can be claimed, in any order, by a stranger, to the owner."""
    queue = w.queue
    open_ones = [t for t in range(1, len(queue.ends)) if queue.exists(t) and queue.claimed_until(t) < queue.filled()]
    random.shuffle(open_ones)
    if random.random() < 0.5:
        while open_ones:
            perform(w, ["claim_many", OUTSIDER, open_ones[:64], []])
            del open_ones[:64]
        open_ones = [t for t in range(1, len(queue.ends)) if queue.claimable(t)]
    for ticket in open_ones:
        owner: Address = queue.owners[ticket]
        reason = perform(w, ["claim", OUTSIDER, ticket])
        if owner in NEVER_TAKES_ETHER:
            demand(reason == "ether: send failed", "INV-06: paid who does not take ETH")
            if owner in CODED:
                paid = perform(w, ["claim_to", owner, ticket, EXECUTION_VAULT])
                demand(paid is None, "INV-06: an owner cannot claim to another account")
        else:
            demand(reason is None, "INV-06: what was paid cannot be claimed")
