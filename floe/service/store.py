"""What a daemon must remember over a restart: in SQLite by default, in PostgreSQL by URL. Any number may share one.

    store = Store("sqlite:///oracle.sqlite")             # or postgresql://user:password@host/database
    signed = store.bind_report(contest, member, digest, content)   # commits before anything is signed
    store.keep_own_signature(contest, member, signature)

Every method is one transaction. Raises StoreError where the database has another format, and SQLAlchemy's
OperationalError where it cannot be reached. 32 bytes and addresses are stored as 0x and lower-case digits.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable

FORMAT = 1
"""Of the tables below. A store of another format is refused."""
MOST_DIGESTS = 4
"""Of one member that are kept for a frame: a member may be wrong, and wrong again, but cannot fill a disk."""

_LOCK = 0x666C6F65
"""Held on PostgreSQL while the tables are made."""
_metadata = MetaData()
_number = BigInteger().with_variant(Integer(), "sqlite")

_contest = (
    ("chain_id", _number),
    ("oracle", String(42)),
    ("frame", _number),
    ("member", String(42)),
)

reports = Table(
    "reports",
    _metadata,
    *(Column(name, kind, nullable=False) for name, kind in _contest),
    Column("digest", String(66), nullable=False),
    Column("content", Text, nullable=False),
    Column("signature", Text),
    Column("bound_at", _number, nullable=False),
    PrimaryKeyConstraint("chain_id", "oracle", "frame", "member"),
)
"""Reports that our members are bound to: one for each frame, for ever."""

signatures = Table(
    "signatures",
    _metadata,
    *(Column(name, kind, nullable=False) for name, kind in _contest),
    Column("digest", String(66), nullable=False),
    Column("signature", Text, nullable=False),
    Column("received_at", _number, nullable=False),
    PrimaryKeyConstraint("chain_id", "oracle", "frame", "member", "digest"),
)
"""Signatures of all members, as they arrived."""

actions = Table(
    "actions",
    _metadata,
    Column("id", _number, primary_key=True, autoincrement=True),
    Column("chain_id", _number, nullable=False),
    Column("sender", String(42), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("subject", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("nonce", _number),
    Column("transactions", Text, nullable=False),
    Column("ceiling", String(80), nullable=False),
    Column("note", Text, nullable=False),
    Column("gas_used", _number),
    Column("paid", String(80)),
    Column("created_at", _number, nullable=False),
    Column("updated_at", _number, nullable=False),
    Index("actions_open", "chain_id", "sender", "state"),
    Index("actions_kind", "chain_id", "sender", "kind", "created_at"),
)
"""What a keeper did: see `Action`."""

values = Table(
    "entries",
    _metadata,
    Column("key", String(200), primary_key=True),
    Column("value", Text, nullable=False),
)
"""Anything else, as JSON."""


class StoreError(Exception):
    """A store that cannot be used, or that says no. One line."""


class BoundError(StoreError):
    """The member is bound to another report for this frame already."""


class Contest(NamedTuple):
    """What a member may sign only once: a frame of an oracle contract on a chain."""

    chain_id: int
    oracle: str
    frame: int


@dataclass(frozen=True)
class Bound:
    """A report that a member is bound to. `signature` is None until it was made."""

    contest: Contest
    member: str
    digest: bytes
    content: str
    signature: bytes | None


@dataclass(frozen=True)
class Signature:
    """A signature that arrived. `received_at` is in Unix seconds."""

    contest: Contest
    member: str
    digest: bytes
    signature: bytes
    received_at: int


PLANNED, SENT, DONE, FAILED = "planned", "sent", "done", "failed"
"""States of an action: written down, handed to a node, in a block and successful, in a block and reverted (or lost)."""


@dataclass(frozen=True)
class Action:
    """Something that a keeper does with one transaction: the last of `transactions`, which replaced those before it.

    `transactions` are (hash, signed bytes) as hexadecimal text: after a restart the same bytes can be sent again.
    `ceiling` is the most wei for a unit of gas, `paid` is in wei; times are Unix seconds.
    """

    id: int
    chain_id: int
    sender: str
    kind: str
    subject: str
    state: str
    nonce: int | None
    transactions: tuple[tuple[str, str], ...]
    ceiling: int
    note: str
    gas_used: int | None
    paid: int | None
    created_at: int
    updated_at: int


class Store:
    """A store. It makes its tables where they are missing."""

    def __init__(self, url: str) -> None:
        place = make_url(url)
        if place.get_backend_name() == "postgresql":
            place = place.set(drivername="postgresql+psycopg")
        self.name = place.render_as_string(hide_password=True)
        """The store in messages, without its password."""
        self._engine = create_engine(place, pool_pre_ping=True, hide_parameters=True)
        if place.get_backend_name() == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
            self._insert: Any = sqlite.insert
        else:
            self._insert = postgresql.insert
        self._make_tables()
        found = self.get("format", None)
        if found is None:
            self.put("format", FORMAT)
        elif found != FORMAT:
            raise StoreError(f"{self.name} has the format {found}, this program knows {FORMAT}")

    def _make_tables(self) -> None:
        """Make what is missing; several daemons may do so at the same moment."""
        with self._transaction() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            for table in _metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- reports of our own ---

    def bind_report(self, contest: Contest, member: str, digest: bytes, content: str) -> Bound:
        """Bind a member to a report, for ever, before it is signed; return what is stored.

        A second call with the same digest changes nothing. Raises BoundError for another digest.
        """
        row = {**_key(contest, member), "digest": _hex(digest), "content": content, "bound_at": _now()}
        with self._transaction() as connection:
            connection.execute(self._insert(reports).values(row).on_conflict_do_nothing())
            bound = self._bound(connection, contest, member)
        assert bound is not None
        if bound.digest != digest:
            raise BoundError(
                f"{member} is bound to {_hex(bound.digest)} for frame {contest.frame}, and will not sign {_hex(digest)}"
            )
        return bound

    def keep_own_signature(self, contest: Contest, member: str, signature: bytes) -> None:
        """Keep the signature of the report that a member is bound to. Raises StoreError where there is none."""
        with self._transaction() as connection:
            done = connection.execute(
                reports.update().where(*_match(reports, contest, member)).values(signature=_hex(signature))
            )
        if done.rowcount != 1:
            raise StoreError(f"{member} is not bound to a report for frame {contest.frame}")

    def bound_report(self, contest: Contest, member: str) -> Bound | None:
        """Return the report that a member is bound to."""
        with self._transaction() as connection:
            return self._bound(connection, contest, member)

    # --- signatures of all ---

    def add_signature(self, contest: Contest, member: str, digest: bytes, signature: bytes) -> bool:
        """Keep a signature; the caller has checked it. Returns whether it is new (and not one too many)."""
        row = {
            **_key(contest, member),
            "digest": _hex(digest),
            "signature": _hex(signature),
            "received_at": _now(),
        }
        with self._transaction() as connection:
            count = select(func.count()).select_from(signatures).where(*_match(signatures, contest, member))
            if connection.execute(count).scalar_one() >= MOST_DIGESTS:
                return False
            insert = self._insert(signatures).values(row).on_conflict_do_nothing()
            return connection.execute(insert.returning(signatures.c.digest)).first() is not None

    def signatures(self, contest: Contest, digest: bytes | None = None) -> list[Signature]:
        """Return the signatures of a frame (for one digest), first come first."""
        wanted = [signatures.c[name] == value for name, value in _columns(contest).items()]
        if digest is not None:
            wanted.append(signatures.c.digest == _hex(digest))
        query = select(signatures).where(*wanted).order_by(signatures.c.received_at, signatures.c.member)
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        return [
            Signature(contest, row.member, _bytes(row.digest), _bytes(row.signature), row.received_at) for row in rows
        ]

    def forget_signatures(self, chain_id: int, oracle: str, before_frame: int) -> int:
        """Delete signatures of frames before this one; return how many. Own reports stay."""
        table = signatures
        wanted = (table.c.chain_id == chain_id, table.c.oracle == oracle.lower(), table.c.frame < before_frame)
        with self._transaction() as connection:
            return int(connection.execute(table.delete().where(*wanted)).rowcount)

    # --- actions of a keeper ---

    def add_action(
        self, chain_id: int, sender: str, kind: str, subject: str, ceiling: int = 0, note: str = ""
    ) -> Action:
        """Write down an action that is about to happen."""
        row = {
            "chain_id": chain_id,
            "sender": sender.lower(),
            "kind": kind,
            "subject": subject,
            "state": PLANNED,
            "transactions": "[]",
            "ceiling": str(ceiling),
            "note": note,
            "created_at": _now(),
            "updated_at": _now(),
        }
        with self._transaction() as connection:
            number = connection.execute(actions.insert().values(row).returning(actions.c.id)).scalar_one()
            return self._action(connection, number)

    def change_action(self, number: int, **changes: Any) -> Action:
        """Change `state`, `nonce`, `transactions`, `note`, `gas_used` or `paid` of an action; return it."""
        unknown = changes.keys() - {"state", "nonce", "transactions", "note", "gas_used", "paid"}
        if unknown:
            raise StoreError(f"an action has no field to change called {', '.join(sorted(unknown))}")
        row = {**changes, "updated_at": _now()}
        if "transactions" in row:
            row["transactions"] = json.dumps(row["transactions"])
        if row.get("paid") is not None:
            row["paid"] = str(row["paid"])
        with self._transaction() as connection:
            connection.execute(actions.update().where(actions.c.id == number).values(row))
            return self._action(connection, number)

    def open_actions(self, chain_id: int, sender: str) -> list[Action]:
        """Return the actions of a sender that are planned or sent, oldest first."""
        return self.actions(chain_id, sender, states=(PLANNED, SENT))

    def actions(
        self, chain_id: int, sender: str, kind: str | None = None, states: Sequence[str] | None = None, since: int = 0
    ) -> list[Action]:
        """Return the actions of a sender, oldest first; of a kind, in some states, made at `since` or later."""
        wanted = [
            actions.c.chain_id == chain_id,
            actions.c.sender == sender.lower(),
            actions.c.created_at >= since,
        ]
        if kind is not None:
            wanted.append(actions.c.kind == kind)
        if states is not None:
            wanted.append(actions.c.state.in_(states))
        with self._transaction() as connection:
            rows = connection.execute(select(actions).where(*wanted).order_by(actions.c.id)).all()
        return [_to_action(row) for row in rows]

    # --- anything else ---

    def get(self, key: str, default: Any = None) -> Any:
        """Return what was put under a key."""
        with self._transaction() as connection:
            row = connection.execute(select(values.c.value).where(values.c.key == key)).first()
        return default if row is None else json.loads(row.value)

    def put(self, key: str, value: Any) -> None:
        """Put a value that JSON can hold under a key."""
        text = json.dumps(value)
        insert = self._insert(values).values(key=key, value=text)
        with self._transaction() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["key"], set_={"value": text}))

    # --- inside ---

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def _bound(self, connection: Connection, contest: Contest, member: str) -> Bound | None:
        row = connection.execute(select(reports).where(*_match(reports, contest, member))).first()
        if row is None:
            return None
        signature = None if row.signature is None else _bytes(row.signature)
        return Bound(contest, row.member, _bytes(row.digest), row.content, signature)

    def _action(self, connection: Connection, number: int) -> Action:
        row = connection.execute(select(actions).where(actions.c.id == number)).first()
        if row is None:
            raise StoreError(f"there is no action {number}")
        return _to_action(row)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Let several processes use the file, and let nothing that was committed be lost with the power."""
    cursor = connection.cursor()
    # The patience first: the change of the journal needs some when others open the file, too.
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _columns(contest: Contest) -> dict[str, Any]:
    return {"chain_id": contest.chain_id, "oracle": contest.oracle.lower(), "frame": contest.frame}


def _key(contest: Contest, member: str) -> dict[str, Any]:
    return {**_columns(contest), "member": member.lower()}


def _match(table: Table, contest: Contest, member: str) -> list[Any]:
    return [table.c[name] == value for name, value in _key(contest, member).items()]


def _to_action(row: Any) -> Action:
    fields = dict(row._mapping)
    fields["transactions"] = tuple((digest, raw) for digest, raw in json.loads(fields["transactions"]))
    fields["ceiling"] = int(fields["ceiling"])
    fields["paid"] = None if fields["paid"] is None else int(fields["paid"])
    return Action(**fields)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _now() -> int:
    return int(time.time())
