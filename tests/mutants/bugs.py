"""Bugs that a tired author could have written, each of which must be found.

Chosen by hand, one for every rule that holds money together: a rounding turned round, a part forgotten, a word not
written, a comparison off by one. The list follows the sources: text that is not found exactly once is an error.
"""

from __future__ import annotations

from tests.mutants.seeding import Bug

POOL = "pool/FloePool.vy"
LEDGER = "pool/ledger.vy"
INSTANT = "pool/instant_exit.vy"
REPORTING = "pool/reporting.vy"
QUEUE = "pool/WithdrawalQueue.vy"
TICKETS = "pool/ticket_book.vy"
REBASING = "pool/RebasingToken.vy"
CURVE = "lib/curve.vy"
STREAM = "lib/stream.vy"
WORDS = "lib/words.vy"
FEE = "lib/instant_fee.vy"
ALLOWANCES = "lib/allowances.vy"
VAULT = "lib/ether_vault.vy"

ENTRY = [
    Bug(
        "deposit-rounds-up",
        POOL,
        "shares: uint256 = assets * (totals & words.U96) // entry_value",
        "shares: uint256 = (assets * (totals & words.U96) + entry_value - 1) // entry_value",
        "depositors take a fraction of a share from the holders each time",
    ),
    Bug(
        "deposit-at-whole-assets",
        POOL,
        "((totals >> 96) & words.U96) - stream._locked(stream_word, block.timestamp)\n    if entry_value == 0:",
        "((totals >> 96) & words.U96)\n    if entry_value == 0:",
        "depositors pay for rewards that are still locked",
    ),
    Bug(
        "mint-rounds-down",
        LEDGER,
        "return (shares * self._entry_value(totals) + supply - 1) // supply",
        "return shares * self._entry_value(totals) // supply",
        "shares are sold below their price",
    ),
    Bug(
        "mint-sends-all-back",
        POOL,
        "ledger._send(msg.sender, msg.value - assets)",
        "ledger._send(msg.sender, msg.value)",
        "shares for nothing whenever something is sent back",
    ),
    Bug(
        "ceiling-off-by-one",
        LEDGER,
        "+ assets > (stream_word >> 176) * WEI_IN_GWEI:",
        "+ assets > (stream_word >> 176) * WEI_IN_GWEI + 1:",
        "one wei passes the deposit ceiling",
    ),
    Bug(
        "deposit-into-loss",
        LEDGER,
        "        if totals & words.LOSSY != 0:\n            reasons._refuse(reasons.DEPOSIT_LOSS)\n",
        "",
        "people buy into a known loss unawares",
    ),
    Bug(
        "deposit-pause-early",
        LEDGER,
        "        if words._time(totals) > block.timestamp:\n            reasons._refuse(reasons.DEPOSIT_PAUSED)",
        "        if words._time(totals) > block.timestamp + 1:\n            reasons._refuse(reasons.DEPOSIT_PAUSED)",
        "a pause ends a second early",
    ),
    Bug(
        "seed-movable",
        LEDGER,
        "    self.balances[self] = seed\n",
        "    self.balances[msg.sender] = seed\n",
        "the last share can leave, and S can become 0",
    ),
]

INSTANT_EXIT = [
    Bug(
        "withdraw-burns-rounded-down",
        INSTANT,
        "return (gross * terms.shares + terms.exit_value - 1) // terms.exit_value",
        "return gross * terms.shares // terms.exit_value",
        "an instant exit burns a share too few",
    ),
    Bug(
        "redeem-pays-rounded-up",
        INSTANT,
        "    gross: uint256 = shares * terms.exit_value // terms.shares\n"
        "    assets: uint256 = gross - instant_fee._fee(terms.line, gross)\n    if assets == 0:",
        "    gross: uint256 = (shares * terms.exit_value + terms.shares - 1) // terms.shares\n"
        "    assets: uint256 = gross - instant_fee._fee(terms.line, gross)\n    if assets == 0:",
        "an instant exit pays a wei too much",
    ),
    Bug(
        "instant-fee-rounds-down",
        FEE,
        "return (gross * self._fee_ppm(line, gross) + PPM - 1) // PPM",
        "return gross * self._fee_ppm(line, gross) // PPM",
        "small exits pay no fee",
    ),
    Bug(
        "instant-fee-before-exit",
        FEE,
        "left = unsafe_sub(line.liquidity, gross)",
        "left = line.liquidity",
        "an exit is priced as if it took nothing, so splitting does not matter and draining is cheap",
    ),
    Bug(
        "allowance-not-lowered",
        INSTANT,
        "    ledger.past -= gross << 136  # the allowance holds at least the limit\n",
        "",
        "instant exits can empty the buffer between two reports",
    ),
    Bug(
        "instant-exit-while-loss-pending",
        INSTANT,
        "words._high(away) == 0\n        and past",
        "words._high(away) >= 0\n        and past",
        "whoever is quick runs from a known loss",
    ),
    Bug(
        "instant-exit-when-stale",
        INSTANT,
        "block.timestamp < ((past >> 96) & words.U40) + live.stale_after",
        "block.timestamp <= ((past >> 96) & words.U40) + live.stale_after",
        "exits at a price of which nobody knows whether it is right",
    ),
    Bug(
        "queue-need-ignored",
        LEDGER,
        "    return buffer - min(needed, buffer)",
        "    return buffer",
        "instant exits and validators take the ETH that waiting exits need",
    ),
    Bug(
        "stream-postponed",
        STREAM,
        "span: uint256 = (locked * rest + amount * period + total - 1) // total",
        "span: uint256 = period",
        "one wei of fee holds back all rewards for another period",
    ),
    Bug(
        "instant-fee-not-streamed",
        INSTANT,
        "gross - assets, block.timestamp, terms.period)",
        "0, block.timestamp, terms.period)",
        "a large exit makes the price jump: something to sandwich",
    ),
    Bug(
        "anybody-redeems",
        INSTANT,
        "    allowances._spend(owner, shares)\n",
        "",
        "everybody can burn everybody's shares for himself",
    ),
]

EXIT_QUEUE = [
    Bug(
        "fulfil-pays-rounded-up",
        POOL,
        "assets: uint256 = shares * exit_value // supply",
        "assets: uint256 = (shares * exit_value + supply - 1) // supply",
        "every fulfilment takes a wei from those who stay",
    ),
    Bug(
        "fulfil-at-entry-value",
        LEDGER,
        "    return entry_value - min((away >> 96) & words.U96, entry_value)",
        "    return entry_value",
        "who leaves before a loss is settled does not bear it",
    ),
    Bug(
        "pending-loss-not-lowered",
        LEDGER,
        "self.away = unsafe_sub(away, (borne << 96) | borne)",
        "self.away = unsafe_sub(away, borne)",
        "those who stay bear the part of those who left",
    ),
    Bug(
        "settled-loss-stays-outside",
        LEDGER,
        "self.away = unsafe_sub(away, (borne << 96) | borne)",
        "self.away = unsafe_sub(away, borne << 96)",
        "the next report counts the settled loss again",
    ),
    Bug(
        "settled-loss-stays-in-assets",
        LEDGER,
        "((assets + borne) << 96) | shares)",
        "(assets << 96) | shares)",
        "the price jumps for those who stay, and the last bear the loss twice",
    ),
    Bug(
        "deficit-not-lowered",
        LEDGER,
        "self._set_deficit(deficit - deficit * shares // supply)",
        "self._set_deficit(deficit)",
        "who stays earns back the loss of those who left before the fee is due again",
    ),
    Bug(
        "deficit-flag-not-set",
        LEDGER,
        "        totals |= words.DEFICIT\n",
        "        totals = totals\n",
        "exits never lower the deficit",
    ),
    Bug(
        "lossy-flag-not-cleared",
        LEDGER,
        "    totals: uint256 = self.totals & ~words.LOSSY\n",
        "    totals: uint256 = self.totals\n",
        "deposits stay closed for ever after one loss",
    ),
    Bug(
        "eligible-not-lowered",
        POOL,
        "ledger.exits = unsafe_sub(exits, (shares << 96) | shares)",
        "ledger.exits = unsafe_sub(exits, shares)",
        "exits are paid that no report has made eligible",
    ),
    Bug(
        "waiting-not-lowered",
        POOL,
        "ledger.exits = unsafe_sub(exits, (shares << 96) | shares)",
        "ledger.exits = unsafe_sub(exits, shares << 96)",
        "burnt shares still count as waiting",
    ),
    Bug(
        "fulfil-without-minimum",
        POOL,
        "    if shares < eligible and assets < MIN_FULFIL:\n        reasons._refuse(reasons.FULFIL_TOO_LITTLE)\n",
        "",
        "points on the curve can be spammed",
    ),
    Bug(
        "stale-time-not-written",
        POOL,
        "ledger.exits = words._with_time(words._with_pair(exits, waiting, waiting), block.timestamp)",
        "ledger.exits = words._with_pair(exits, waiting, waiting)",
        "exits are declared eligible again at once instead of after another period",
    ),
    Bug(
        "stale-since-the-earlier",
        POOL,
        "since: uint256 = max(words._time(exits)",
        "since: uint256 = min(words._time(exits)",
        "reports count as stale although one has just come",
    ),
    Bug(
        "search-off-by-one",
        CURVE,
        "if (self.points[middle] & words.U128) > position:",
        "if (self.points[middle] & words.U128) >= position:",
        "a ticket at the border of two fulfilments is paid at the wrong price",
    ),
    Bug(
        "search-of-the-end",
        CURVE,
        "segment = self._segment(b - 1, segment + 1, last)",
        "segment = self._segment(b, segment + 1, last)",
        "a ticket that ends at a point is paid from the segment after it",
    ),
    Bug(
        "hint-check-off-by-one",
        CURVE,
        "and position < (to_word & words.U128)",
        "and position <= (to_word & words.U128)",
        "the hint for the segment before is taken too",
    ),
    Bug(
        "hint-not-checked",
        CURVE,
        "        assert self._holds(from_word, to_word, a), reasons.HINT\n",
        "        assert True, reasons.HINT\n",
        "anybody chooses the price of a ticket",
    ),
    Bug(
        "curve-rounds-up",
        CURVE,
        "return paid + unsafe_mul(position - shares, (to_word >> 128) - paid) // ((to_word & words.U128) - shares)",
        "return paid + (unsafe_mul(position - shares, (to_word >> 128) - paid) + (to_word & words.U128) - shares - 1)"
        " // ((to_word & words.U128) - shares)",
        "the first to claim takes a wei that belongs to the next",
    ),
    Bug(
        "claim-beyond-filled",
        QUEUE,
        "    end: uint256 = min(ticket_book._end_in(slot), words._low(head))\n    assert start < end",
        "    end: uint256 = ticket_book._end_in(slot)\n    assert start < end",
        "a ticket that is paid in part takes the ETH of the others",
    ),
    Bug(
        "progress-wrong",
        TICKETS,
        "        self.slots[ticket] = slot | words.PARTLY_CLAIMED\n        self.progress[ticket] = end\n",
        "        self.slots[ticket] = slot | words.PARTLY_CLAIMED\n        self.progress[ticket] = end - 1\n",
        "a partial claim can be repeated for a share",
    ),
    Bug(
        "partial-flag-missing",
        TICKETS,
        "self.slots[ticket] = slot | words.PARTLY_CLAIMED",
        "self.slots[ticket] = slot",
        "a partial claim can be repeated for ever",
    ),
    Bug(
        "end-forgotten",
        TICKETS,
        "self.slots[ticket] = end << 160",
        "self.slots[ticket] = 0",
        "the next ticket starts at 0 and takes what its neighbours got",
    ),
    Bug(
        "claim-many-undo-missing",
        QUEUE,
        "            ticket_book._unbook(ticket, slot, owner, start, end)\n",
        "",
        "a wallet that cannot take ETH loses its ticket",
    ),
    Bug(
        "undo-without-progress",
        TICKETS,
        "        self.progress[ticket] = start\n",
        "        self.progress[ticket] = end\n",
        "the part that could not be sent is lost",
    ),
    Bug(
        "anybody-chooses-the-receiver",
        QUEUE,
        "    ticket_book._check_may(ticket, owner)\n",
        "",
        "anybody claims anybody's ticket for himself",
    ),
    Bug(
        "approval-survives-transfer",
        TICKETS,
        "    self.approvals[ticket] = empty(address)\n",
        "",
        "the seller takes the ticket back",
    ),
    Bug(
        "ticket-count-of-claimed",
        TICKETS,
        "        self.slots[ticket] = end << 160\n        self.balances[owner] -= 1\n",
        "        self.slots[ticket] = end << 160\n",
        "wallets show tickets that are gone",
    ),
    Bug(
        "batch-total-of-the-last",
        QUEUE,
        "        total += amount\n    ticket_book.line = line",
        "        total = amount\n    ticket_book.line = line",
        "tickets without shares behind them",
    ),
    Bug(
        "queue-without-lock",
        QUEUE,
        "# pragma nonreentrancy on\n",
        "# pragma nonreentrancy off\n",
        "who is paid can call back in the middle of a payment",
    ),
    Bug(
        "pool-without-lock",
        INSTANT,
        "# pragma nonreentrancy on\n",
        "# pragma nonreentrancy off\n",
        "who is paid can call back in the middle of an instant exit",
    ),
]

REPORTS = [
    Bug(
        "gain-not-metered",
        REPORTING,
        "- convert(outside, int256), room)",
        "- convert(outside, int256), max_value(int256))",
        "one report, or one donation to a validator, makes the price jump",
    ),
    Bug(
        "room-min-max-swapped",
        REPORTING,
        "surplus = min(surplus, convert(left, uint256) - tips - gifts)",
        "surplus = max(surplus, convert(left, uint256) - tips - gifts)",
        "rewards that do not exist are booked",
    ),
    Bug(
        "room-not-lowered-by-tips",
        REPORTING,
        "gifts: uint256 = min(report.donated_at_ref - ledger.donated, convert(left, uint256) - tips)",
        "gifts: uint256 = min(report.donated_at_ref - ledger.donated, convert(left, uint256))",
        "gifts pass the limit, or a report with tips and gifts cannot be made",
    ),
    Bug(
        "room-not-lowered-by-gain",
        REPORTING,
        "    left -= gain\n",
        "",
        "tips come on top of the limit",
    ),
    Bug(
        "surplus-counted-twice",
        REPORTING,
        "gain += convert(tips + gifts + surplus, int256)",
        "gain += convert(tips + gifts + surplus + surplus, int256)",
        "one forced wei counts as two",
    ),
    Bug(
        "surplus-with-principal",
        REPORTING,
        "surplus: uint256 = self.balance - (assets - words._low(ledger.away))",
        "surplus: uint256 = self.balance - (assets - words._low(ledger.away)) + WITHDRAWAL_VAULT.address.balance",
        "principal that is swept counts as a gift as well",
    ),
    Bug(
        "principal-counted-twice",
        REPORTING,
        "words._high(ledger.flows) + principal)",
        "words._high(ledger.flows))",
        "every report sweeps the same withdrawal again",
    ),
    Bug(
        "gifts-counted-twice",
        REPORTING,
        "    ledger.donated += gifts\n",
        "",
        "every report takes in the same gift again",
    ),
    Bug(
        "in-flight-forgotten",
        REPORTING,
        "after: uint256 = report.cl + words._low(flows) - report.deposited_at_ref",
        "after: uint256 = report.cl",
        "ETH on its way to validators looks like a loss",
    ),
    Bug(
        "sent-not-counted",
        POOL,
        "    ledger.flows = unsafe_add(ledger.flows, amount)  # bounded by all the ETH there is\n",
        "",
        "ETH sent after the reference slot looks like a loss",
    ),
    Bug(
        "fee-on-deficit",
        REPORTING,
        "fee = (gained - repaid) * live.fee_bps // ledger.BPS",
        "fee = gained * live.fee_bps // ledger.BPS",
        "holders pay a fee for getting back what they had",
    ),
    Bug(
        "fee-shares-round-up",
        REPORTING,
        "fee_shares = fee * supply // entry_value",
        "fee_shares = (fee * supply + entry_value - 1) // entry_value",
        "the price falls a little with every report",
    ),
    Bug(
        "fee-shares-at-assets",
        REPORTING,
        "        entry_value: uint256 = words._high(totals) - stream._locked(stream_word, now)\n",
        "        entry_value: uint256 = words._high(totals) + gained\n",
        "the fee is less than it says",
    ),
    Bug(
        "fee-left-in-stream",
        REPORTING,
        "            locked += gained - fee\n",
        "            locked += gained\n",
        "the price falls by the fee in one step and comes back slowly",
    ),
    Bug(
        "loss-adds-no-deficit",
        REPORTING,
        "        deficit += loss\n",
        "",
        "a fee is taken on what only repairs a loss",
    ),
    Bug(
        "deficit-not-repaid",
        REPORTING,
        "        deficit -= repaid\n",
        "        deficit -= 0\n",
        "after one loss there is never a fee again",
    ),
    Bug(
        "loss-spares-locked-rewards",
        REPORTING,
        "        locked -= min(locked, loss)\n",
        "        locked = locked\n",
        "a loss lowers the price although locked rewards could bear it",
    ),
    Bug(
        "stream-not-restarted",
        STREAM,
        "| (end << 136) | (now << 96) | locked",
        "| (end << 136) | (((word >> 96) & words.U40) << 96) | locked",
        "a part of new rewards is released at once",
    ),
    Bug(
        "stream-amount-not-carried",
        REPORTING,
        "            locked += gained - fee\n",
        "            locked = gained - fee\n",
        "rewards that were still locked are released at once",
    ),
    Bug(
        "stream-runs-backwards",
        STREAM,
        "unsafe_mul(word & words.U96, unsafe_sub(end, now))",
        "unsafe_mul(word & words.U96, unsafe_sub(now, start))",
        "the price falls by the second",
    ),
    Bug(
        "report-time-not-written",
        REPORTING,
        "words._low(past) | (block.timestamp << 96) |",
        "words._low(past) | (past & (words.U40 << 96)) |",
        "the limit on gains grows with every report",
    ),
    Bug(
        "allowance-shifted-wrong",
        REPORTING,
        "(min(allowance, words.U80) << 136)",
        "(min(allowance, words.U80) << 135)",
        "half the allowance, and a bit of the report time",
    ),
    Bug(
        "instant-pause-lifted-by-report",
        REPORTING,
        "| ((past >> 216) << 216)",
        "",
        "a report ends the pause of instant exits",
    ),
    Bug(
        "eligibility-lost",
        REPORTING,
        "    if queue_tail > filled + words._high(exits):\n",
        "    if queue_tail >= filled:\n",
        "a report takes back what an earlier one promised",
    ),
    Bug(
        "eligible-from-the-tail",
        REPORTING,
        "words._low(exits), queue_tail - filled)",
        "words._low(exits), min(queue_tail, words._low(exits)))",
        "exits after the reference slot are paid",
    ),
    Bug(
        "pending-loss-beyond-outside",
        REPORTING,
        "pending_loss: uint256 = min(report.pending_loss, outside)",
        "pending_loss: uint256 = report.pending_loss",
        "more is deducted than can be lost",
    ),
    Bug(
        "validators-ignore-the-target",
        LEDGER,
        "    return free - min(words._high(totals) * parameters._unpack(self.live).target_bps // BPS, free)",
        "    return free",
        "nothing is left for instant exits",
    ),
]

TOKENS = [
    Bug(
        "self-transfer-doubles",
        LEDGER,
        "    self.balances[owner] = unsafe_sub(balance, shares)\n    self.balances[to] += shares\n",
        "    received: uint256 = self.balances[to] + shares\n"
        "    self.balances[owner] = unsafe_sub(balance, shares)\n    self.balances[to] = received\n",
        "shares out of nothing, by a transfer to oneself",
    ),
    Bug(
        "transfer-from-for-nothing",
        POOL,
        "    allowances._spend(owner, amount)\n",
        "",
        "everybody moves everybody's shares",
    ),
    Bug(
        "allowance-not-spent",
        ALLOWANCES,
        "    self.allowance[owner][msg.sender] = unsafe_sub(current, amount)\n",
        "    self.allowance[owner][msg.sender] = current\n",
        "an allowance can be used again and again",
    ),
    Bug(
        "permit-nonce-not-raised",
        ALLOWANCES,
        "    self.nonces[owner] = unsafe_add(nonce, 1)\n",
        "",
        "a permit can be used again and again",
    ),
    Bug(
        "permit-after-its-deadline",
        ALLOWANCES,
        "    if block.timestamp > deadline:\n",
        "    if block.timestamp > deadline + 1:\n",
        "an expired permit counts",
    ),
    Bug(
        "permit-by-anybody",
        ALLOWANCES,
        "    if signer != owner:\n        reasons._refuse(reasons.PERMIT_SIGNER)\n",
        "",
        "everybody signs for everybody",
    ),
    Bug(
        "pause-shifted-wrong",
        WORDS,
        "return (word & ~(U40 << 192)) | ((at & U40) << 192)",
        "return (word & ~(U40 << 192)) | ((at & U40) << 191)",
        "a pause ends long ago, and a bit of the assets changes",
    ),
    Bug(
        "rebasing-rounds-down",
        REBASING,
        "return (amount * supply + entry_value - 1) // entry_value",
        "return amount * supply // entry_value",
        "amounts below one share move for nothing",
    ),
    Bug(
        "unwrapped-still-counted",
        REBASING,
        "    self.total_shares -= shares\n",
        "",
        "the total of the rebasing token never falls",
    ),
    Bug(
        "rebasing-allowance-rounds-down",
        REBASING,
        "allowances._spend(owner, (shares * entry_value + supply - 1) // supply)",
        "allowances._spend(owner, shares * entry_value // supply)",
        "dust moves without an allowance when a share is worth less than a wei",
    ),
    Bug(
        "sweep-for-everybody",
        VAULT,
        "    assert msg.sender == POOL, reasons.NOT_POOL\n",
        "",
        "everybody moves principal into the pool, where it looks like a gift",
    ),
]

BUGS: list[Bug] = [*ENTRY, *INSTANT_EXIT, *EXIT_QUEUE, *REPORTS, *TOKENS]
