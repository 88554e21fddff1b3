"""The daemons' store. `tests/e2e/test_postgres.py` runs the same tests on a PostgreSQL server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from floe.service.store import (
    DONE,
    FAILED,
    MOST_DIGESTS,
    PLANNED,
    SENT,
    BoundError,
    Contest,
    Store,
    StoreError,
)

ORACLE = "0xAbCdEf0000000000000000000000000000000001"
MEMBER, OTHER = "0x00000000000000000000000000000000000000Aa", "0x00000000000000000000000000000000000000Bb"
FRAME = Contest(31337, ORACLE, 2**40)
NEXT = FRAME._replace(frame=FRAME.frame + 1)
A, B = b"\xaa" * 32, b"\xbb" * 32


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.sqlite"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store(store_url) as store:
        yield store


# --- reports of our own ---


def test_bind_report__same_again__changes_nothing(store: Store):
    first = store.bind_report(FRAME, MEMBER, A, "the report")
    assert first == store.bind_report(FRAME, MEMBER, A, "another text") == store.bound_report(FRAME, MEMBER)
    assert (first.digest, first.content, first.signature) == (A, "the report", None)


def test_bind_report__other_digest__refused_whatever_the_case_of_the_addresses(store: Store):
    store.bind_report(FRAME, MEMBER, A, "")
    with pytest.raises(BoundError, match="will not sign 0xbbbb"):
        store.bind_report(FRAME._replace(oracle=ORACLE.lower()), MEMBER.upper().replace("0X", "0x"), B, "")
    bound = store.bound_report(FRAME, MEMBER)
    assert bound is not None
    assert bound.digest == A


def test_bind_report__other_frame_chain_oracle_or_member__free(store: Store):
    store.bind_report(FRAME, MEMBER, A, "")
    for contest in (NEXT, FRAME._replace(chain_id=1), FRAME._replace(oracle=OTHER)):
        assert store.bound_report(contest, MEMBER) is None
        store.bind_report(contest, MEMBER, B, "")
    store.bind_report(FRAME, OTHER, B, "")


def test_bind_report__many_at_once__one_wins(store_url: str):
    digests = [bytes([number]) * 32 for number in range(8)]

    def bind(digest: bytes) -> bytes | None:
        with Store(store_url) as store:
            try:
                return store.bind_report(FRAME, MEMBER, digest, "").digest
            except BoundError:
                return None

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(bind, digests))
    winners = [digest for digest in found if digest is not None]
    with Store(store_url) as store:
        bound = store.bound_report(FRAME, MEMBER)
        assert bound is not None
        assert winners == [bound.digest]


def test_keep_own_signature__bound__is_there_after_a_restart(store: Store, store_url: str):
    store.bind_report(FRAME, MEMBER, A, "")
    store.keep_own_signature(FRAME, MEMBER, b"\x01" * 65)
    with Store(store_url) as again:
        assert again.bind_report(FRAME, MEMBER, A, "").signature == b"\x01" * 65


def test_keep_own_signature__not_bound__refused(store: Store):
    with pytest.raises(StoreError, match="is not bound to a report"):
        store.keep_own_signature(FRAME, MEMBER, b"\x01" * 65)


# --- signatures of all ---


def test_add_signature__new_and_again__kept_once(store: Store):
    assert store.add_signature(FRAME, MEMBER, A, b"\x01" * 65)
    assert not store.add_signature(FRAME, MEMBER, A, b"\x02" * 65)
    assert store.add_signature(FRAME, OTHER, A, b"\x03" * 65)
    assert {(one.member, one.signature) for one in store.signatures(FRAME, A)} == {
        (MEMBER.lower(), b"\x01" * 65),
        (OTHER.lower(), b"\x03" * 65),
    }
    assert store.signatures(FRAME, B) == store.signatures(NEXT) == []


def test_add_signature__member_that_signs_everything__cannot_fill_the_store(store: Store):
    kept = [store.add_signature(FRAME, MEMBER, bytes([number]) * 32, b"\x01" * 65) for number in range(20)]
    assert kept == [True] * MOST_DIGESTS + [False] * (20 - MOST_DIGESTS)
    assert len(store.signatures(FRAME)) == MOST_DIGESTS
    assert store.add_signature(FRAME, OTHER, A, b"\x01" * 65)


def test_forget_signatures__older_frames__gone_and_own_reports_stay(store: Store):
    store.bind_report(FRAME, MEMBER, A, "")
    for contest in (FRAME, NEXT):
        store.add_signature(contest, MEMBER, A, b"\x01" * 65)
    assert store.forget_signatures(FRAME.chain_id, ORACLE, NEXT.frame) == 1
    assert store.signatures(FRAME) == []
    assert len(store.signatures(NEXT)) == 1
    assert store.bound_report(FRAME, MEMBER) is not None


# --- actions ---


def test_action__from_plan_to_receipt__every_field_comes_back(store: Store):
    action = store.add_action(31337, MEMBER, "fulfil", "why", ceiling=2**200, note="n")
    assert (action.state, action.nonce, action.transactions, action.ceiling) == (PLANNED, None, (), 2**200)
    store.change_action(action.id, state=SENT, nonce=2**40, transactions=[("0x01", "0x02")])
    changed = store.change_action(action.id, state=DONE, gas_used=21_000, paid=2**90)
    assert changed == store.actions(31337, MEMBER)[0]
    assert (changed.nonce, changed.transactions, changed.paid) == (2**40, (("0x01", "0x02"),), 2**90)
    assert (changed.kind, changed.subject, changed.note, changed.gas_used) == ("fulfil", "why", "n", 21_000)


def test_open_actions__by_sender_and_chain__oldest_first_without_what_is_settled(store: Store):
    first, second, third = (store.add_action(1, MEMBER, "kind", "") for _ in range(3))
    store.add_action(1, OTHER, "kind", "")
    store.add_action(2, MEMBER, "kind", "")
    store.change_action(second.id, state=FAILED)
    store.change_action(third.id, state=SENT)
    assert [one.id for one in store.open_actions(1, MEMBER)] == [first.id, third.id]
    assert [one.id for one in store.actions(1, MEMBER, kind="kind", states=(FAILED,))] == [second.id]
    assert store.actions(1, MEMBER, kind="other") == []
    assert store.actions(1, MEMBER, since=first.created_at + 1_000) == []


def test_change_action__unknown_field_or_number__refused(store: Store):
    action = store.add_action(1, MEMBER, "kind", "")
    with pytest.raises(StoreError, match="no field to change called sender"):
        store.change_action(action.id, sender=OTHER)
    with pytest.raises(StoreError, match="there is no action 99"):
        store.change_action(99, state=DONE)


# --- anything else ---


def test_put__again__replaces(store: Store):
    assert store.get("key", "nothing") == "nothing"
    store.put("key", {"a": [1, None]})
    assert store.get("key") == {"a": [1, None]}
    store.put("key", 2)
    assert store.get("key") == 2


def test_store__opened_by_many_at_once__all_can_use_it(store_url: str):
    def use(number: int) -> int:
        with Store(store_url) as store:
            store.put(f"key {number}", number)
            return int(store.get(f"key {number}"))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(use, range(12))) == list(range(12))


def test_store__another_format__refused(store: Store, store_url: str):
    store.put("format", 99)
    with pytest.raises(StoreError, match="has the format 99, this program knows 1"):
        Store(store_url)


def test_store__name__is_without_password(store: Store):
    assert "only" not in store.name
    assert store.name.startswith(("sqlite://", "postgresql+psycopg://floe:***@"))


def test_store__unreachable__operational_error_without_values():
    with pytest.raises(OperationalError):
        Store("postgresql://floe:secret@127.0.0.1:9/postgres")


def test_sqlite__file__write_ahead_log_and_every_commit_on_the_disk(tmp_path: Path):
    with Store(f"sqlite:///{tmp_path}/store.sqlite") as store, store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
