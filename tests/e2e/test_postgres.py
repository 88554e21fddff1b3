"""The daemons' store on a real PostgreSQL server: the tests of `tests/unit/test_service_store.py` there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import psycopg
import pytest

from tests.postgres import server
from tests.unit.test_service_store import *  # noqa: F403

_numbers = count()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with server() as url:
        yield url


@pytest.fixture
def store_url(postgres: str) -> Iterator[str]:
    name = f"store{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield postgres.rpartition("/")[0] + f"/{name}"
