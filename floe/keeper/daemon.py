"""The keeper at work: it looks, plans, and takes the first step that is due, until none is left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from floe.beacon.proofs import Provable
from floe.beacon.ssz import ProofError
from floe.deploy.record import Record
from floe.keeper.config import KeeperConfig, Rule
from floe.keeper.plan import Kind, Step, plan
from floe.keeper.sight import Sight
from floe.keeper.snapshot import Snapshot
from floe.service.metrics import Metrics
from floe.service.nodes import Fault, NodeError, Nodes
from floe.service.retry import PassingError
from floe.service.sender import Call, DearError, RefusedError, Sender
from floe.service.store import DONE, SENT, Store

log = logging.getLogger(__name__)

MOST_STEPS = 32
"""In one round."""
PENANCE = 300
"""Seconds of chain time for which a kind of action rests after it failed."""
LAST = "keeper: last"
"""Key in the store: chain time at which each kind of action was taken last."""
PROVING: frozenset[Kind] = frozenset(
    {"prove_slashings", "prove_exits", "close", "prove_credentials", "prove_activity", "prove_balances"}
)


class Keeper:
    """A keeper. Without a sender it only says what it would do (`say`), as `account`, whose roles it has."""

    def __init__(
        self,
        config: KeeperConfig,
        record: Record,
        nodes: Nodes,
        store: Store,
        metrics: Metrics,
        account: str | None,
        sender: Sender | None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._rules, self._interval = config.rules, config.beacon_interval
        self._tip = config.tip
        self._nodes, self._store, self._sender, self._say = nodes, store, sender, say
        self._sight = Sight(nodes, record, account)
        self._scope = f"{record.chain_id} {record.address('ValidatorRegistry').lower()}"
        self._said: list[str] | None = None
        self._failed: dict[str, int] = {}
        """Kind -> chain time until which it rests."""
        self._actions = metrics.counter("keeper_actions", "Actions, by kind and outcome.", "kind", "outcome")
        self._held = metrics.gauge("keeper_held", "Steps that have to wait, by kind.", "kind")
        self._paid = metrics.counter("keeper_paid_wei", "Wei paid for gas, by kind.", "kind")
        self._missing = metrics.gauge("keeper_missing_ether", "ETH that eligible exits lack.")
        self._known = metrics.gauge("keeper_validators", "Validators, by state.", "state")

    def round(self) -> list[Step]:
        """Look, and take all steps that are due; return all that were planned in the end. Raises PassingError.

        Without a beacon node it still does what needs none: exits are not held up. Nor are they without finality.
        """
        trouble: NodeError | None = None
        try:
            self._nodes.check()
        except NodeError as error:
            trouble = error
        if self._sender is not None and not self._sender.settle():
            raise PassingError("the last transaction is in no block yet")
        now = self._sight.read()
        if trouble is None:
            trouble = self._look(now)
        if trouble is not None:
            self._sight.close_eyes()
        steps = self._plan()
        for _ in range(MOST_STEPS):
            due = next((step for step in steps if not step.held), None)
            if due is None or self._sender is None:
                break
            self._take(due, self._sender)
            self._sight.read()
            self._sight.refresh({*due.validators, *due.prove})
            steps = self._plan()
        self._tell(steps)
        if trouble is not None:
            raise trouble
        return steps

    # --- inside ---

    def _look(self, now: int) -> NodeError | None:
        """Look at the validators when it is time, study a state if something is to be proven; return what failed."""
        try:
            if self._sight.looked_at == 0 or now >= self._sight.looked_at + self._interval:
                self._sight.look()
            # What must be proven is planned again from the state that it is proven with.
            if any(not step.held and (step.kind in PROVING or step.prove) for step in self._plan()):
                self._sight.study()
        except NodeError as error:
            # A state is large: not another one in every round.
            self._failed |= dict.fromkeys((*PROVING, "top_up"), now + PENANCE)
            return error
        return None

    def _plan(self) -> list[Step]:
        snapshot = self._sight.snapshot(self._store.get(f"{LAST} {self._scope}", {}), self._tip)
        self._show(snapshot)
        return [self._resting(step, snapshot.now) for step in plan(snapshot, self._rules)]

    def _resting(self, step: Step, now: int) -> Step:
        until = self._failed.get(step.kind, 0)
        return step if step.held or now >= until else step.waiting(f"failed lately: again in {until - now} s")

    def _take(self, step: Step, sender: Sender) -> None:
        """Send the transactions of a step, one after the other; a failure lets its kind rest."""
        rule: Rule = getattr(self._rules, step.kind)
        log.info("%s: %s", step.kind, step.why)
        outcome = "failed"
        try:
            for to, data, value in self._calls(step):
                call = Call(step.kind, step.why, to, data, rule.max_fee, rule.max_gas, value)
                action = sender.send(call)
                if action.state == SENT:
                    raise PassingError(f"{step.kind}: its transaction is in no block yet")
                self._paid.labels(step.kind).inc(action.paid or 0)
                if action.state != DONE:
                    outcome = "reverted"
                    return
            outcome = "done"
        except (RefusedError, DearError) as error:
            outcome = "refused" if isinstance(error, RefusedError) else "too dear"
            log.warning("%s", error)
        finally:
            now = self._sight.time
            self._actions.labels(step.kind, outcome).inc()
            key = f"{LAST} {self._scope}"
            self._store.put(key, {**self._store.get(key, {}), step.kind: now})
            if outcome != "done":
                self._failed[step.kind] = now + PENANCE

    def _calls(self, step: Step) -> Iterator[tuple[str, bytes, int]]:
        """Return target, data and value of a step's transactions. Raises NodeError where a proof cannot be made."""
        there, state = self._sight.contracts, self._sight.state
        registry = there.registry.functions
        pubkeys = b"".join(map(self._sight.pubkey, step.validators))
        if step.kind in PROVING and step.kind != "close":
            yield from self._proofs(registry, step.validators, state)
        elif step.kind == "close":
            yield _call(registry.prove_withdrawn(*_plain(_proven(state).prove_withdrawn(pubkeys))))
        elif step.kind == "top_up":
            yield from self._proofs(registry, step.prove, state)
            yield _call(registry.top_up(pubkeys, list(step.amounts)))
        elif step.kind == "pull_back":
            yield _call(registry.request_withdrawals(pubkeys, list(step.amounts), step.number), step.value)
        elif step.kind == "record_exits":
            yield _call(registry.record_exits())
        elif step.kind == "fulfil":
            yield _call(there.pool.functions.fulfil())
        elif step.kind == "declare_stale":
            yield _call(there.pool.functions.declare_stale())
        elif step.kind == "claim_cover":
            yield _call(there.queue.functions.claim(step.number, 0))
        else:
            splitter = there.splitter.functions
            if step.kind == "sync_fees":
                yield _call(splitter.sync(step.number))
            elif step.kind == "distribute_fees":
                yield _call(splitter.distribute())
            elif step.kind == "claim_fees":
                yield _call(splitter.claim(step.number))

    def _proofs(
        self, registry: Any, keys: tuple[bytes, ...], state: Provable | None
    ) -> Iterator[tuple[str, bytes, int]]:
        if not keys:
            return
        try:
            proofs = _proven(state).batches([self._sight.pubkey(key) for key in keys])
        except ProofError as error:
            raise NodeError(Fault.LAGGING, "beacon nodes", str(error)) from error
        for name, arguments in (proof.call for proof in proofs):
            yield _call(getattr(registry, name)(*_plain(arguments)))

    def _show(self, snapshot: Snapshot) -> None:
        self._missing.set(snapshot.missing / 10**18)
        states = [one.record.state for one in snapshot.validators]
        for state in set(states):
            self._known.labels(state.name.lower()).set(states.count(state))

    def _tell(self, steps: list[Step]) -> None:
        """Count what waits; say what would be done and what waits, unless the same was said before."""
        self._held.clear()
        for step in steps:
            if step.held:
                self._held.labels(step.kind).inc()
        lines = [f"{one.kind}: {one.why}; {'not now: ' + one.held if one.held else 'due now'}" for one in steps]
        if lines != self._said:
            self._said = lines
            for line in lines or ["nothing to do"]:
                self._say(line)


def _proven(state: Provable | None) -> Provable:
    if state is None:
        raise NodeError(Fault.LAGGING, "beacon nodes", "no state was studied that could be proven")
    return state


def _call(function: Any, value: int = 0) -> tuple[str, bytes, int]:
    data: str = function._encode_transaction_data()
    return function.address, bytes.fromhex(data[2:]), value


def _plain(value: Any) -> Any:
    """Return tuples without the names of their fields, which web3 does not take."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return tuple(_plain(one) for one in value) if isinstance(value, tuple) else value
