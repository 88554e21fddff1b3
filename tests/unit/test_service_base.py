"""What the daemons share besides store, nodes and sender: configuration, keys, logs, metrics, health, the loop."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from eth_account import Account

from floe.service import log, retry
from floe.service.config import ConfigError, Keystore, ServiceConfig, load, parse
from floe.service.metrics import Metrics, Served
from floe.service.retry import PassingError, loop

SECRET = "0x" + "11" * 32
LEAST = {"deployment": "x.json", "beacon": ["http://a"], "execution": ["http://b"], "store": "sqlite:///s.sqlite"}


# --- configuration ---


def test_load__file__paths_are_relative_to_it_and_variables_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLOE_TEST_PASSWORD", "a b:c")
    file = tmp_path / "c.yaml"
    file.write_text("{deployment: d/x.json, beacon: ['http://a/'], execution: [https://b:1/key], store: 'sqlite:///s'}")
    config = load(file, ServiceConfig)
    assert config.deployment == tmp_path / "d/x.json"
    assert config.beacon == ["http://a"]
    assert config.store.get_secret_value() == f"sqlite:///{tmp_path}/s"
    with_password = parse({**LEAST, "store": "postgresql://u:${FLOE_TEST_PASSWORD}@h/d"}, ServiceConfig)
    assert "a b" not in repr(with_password)


def test_load__no_file_no_yaml__one_line(tmp_path: Path):
    with pytest.raises(ConfigError, match=f"^{tmp_path}/none.yaml: there is no such file$"):
        load(tmp_path / "none.yaml", ServiceConfig)
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match=r"bad.yaml: not YAML: [^\n]*$"):
        load(tmp_path / "bad.yaml", ServiceConfig)


@pytest.mark.parametrize(
    "text",
    [
        "store: postgresql://u:hunter2@h/d\nkey: {file: a, password: 'hunter2}}\n",
        'store: "hunter\\q2"\n',
        "a: @hunter2\n",
        "a: &b hunter2\nc: *hunter2\n",
        "a: &b hunter2\nc: !hunter2 5\n",
        "a: !!hunter2 5\n",
        "a: hunter2: 5\n",
    ],
)
def test_load__broken_line__said_where_without_quoting_it(text: str, tmp_path: Path):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"bad.yaml: not YAML: line [123], column \d+$") as raised:
        load(tmp_path / "bad.yaml", ServiceConfig)
    assert "hunter" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"beacon": ["a"]}, "beacon[0]: a URL starts with http:// or https://"),
        ({"beacon": ["http://"]}, "beacon[0]: a URL starts with"),
        ({"beacon": ["http://a:x"]}, "beacon[0]: a URL starts with"),
        ({"store": "oracle://x"}, "store: a store is sqlite:///FILE or postgresql://"),
        ({"store": 5}, "store: "),
        ({"deployment": 5}, "deployment: not the name of a file"),
        ({"agree": 0}, "agree: "),
        ({"max_head_age": -1}, "max_head_age: "),
        ({"metrics": {"port": 99_999}}, "metrics.port: "),
        ({"log": "loud"}, "log: "),
        ({"unknown": 1}, "unknown: there is no such setting"),
        ({"store": "${FLOE_TEST_NOT_SET}"}, "store: the environment variable FLOE_TEST_NOT_SET is not set"),
    ],
)
def test_parse__one_wrong_value__one_line_that_names_it(changes: dict[str, object], problem: str):
    with pytest.raises(ConfigError) as raised:
        parse({**LEAST, **changes}, ServiceConfig, "c.yaml")
    [line] = str(raised.value).splitlines()
    assert line.startswith(f"c.yaml: {problem}")


def test_parse__not_a_mapping__says_so():
    with pytest.raises(ConfigError, match="valid dictionary"):
        parse(None, ServiceConfig)


# --- keys ---


@pytest.fixture(scope="module")
def keystore() -> str:
    return json.dumps(Account.encrypt(bytes.fromhex(SECRET[2:]), "pass word", kdf="pbkdf2", iterations=1))


@pytest.mark.parametrize("content", ["pass word", "pass word\n", "pass word\r\n"])
def test_keystore__password_in_a_file__unlocked(content: str, keystore: str, tmp_path: Path):
    (tmp_path / "key").write_text(keystore)
    (tmp_path / "password").write_bytes(content.encode())
    found = parse({"file": "key", "password_file": "password"}, Keystore, folder=tmp_path)
    assert found.unlock().address == Account.from_key(SECRET).address


def test_keystore__password_in_the_environment__unlocked(
    keystore: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "key").write_text(keystore)
    monkeypatch.setenv("FLOE_TEST_PASSWORD", "pass word")
    found = parse({"file": "key", "password": "${FLOE_TEST_PASSWORD}"}, Keystore, folder=tmp_path)
    assert found.unlock().address == Account.from_key(SECRET).address
    assert "pass word" not in repr(found)


def test_keystore__wrong_password_or_file__one_line_without_it(keystore: str, tmp_path: Path):
    (tmp_path / "key").write_text(keystore)
    (tmp_path / "text").write_text("no key")
    for content, text in (
        ({"file": "key", "password": "hunter2"}, "not a keystore, or not its password"),
        ({"file": "text", "password": "hunter2"}, "not a keystore, or not its password"),
        ({"file": "none", "password": "hunter2"}, "cannot read .*/none: No such file"),
        ({"file": "key", "password_file": "none"}, "cannot read .*/none: No such file"),
    ):
        with pytest.raises(ConfigError, match=text) as raised:
            parse(content, Keystore, folder=tmp_path).unlock()
        assert "hunter2" not in str(raised.value)
        assert "\n" not in str(raised.value)


# --- logs ---


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("floe")
    before = root.handlers[:], root.level, ours.level
    stream = io.StringIO()
    log.start("info", stream)
    yield stream
    root.handlers[:], root.level, ours.level = before


def test_log__extra_and_bytes__one_json_object_a_line(stream: io.StringIO):
    logging.getLogger("floe.test").info("signed %s\nit", "a", extra={"frame": 2**70, "digest": b"\x01\xff"})
    logging.getLogger("floe.test").debug("not said")
    logging.getLogger("other").info("not said")
    logging.getLogger("other").warning("said")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["level"], first["from"], first["message"]) == ("info", "floe.test", "signed a\nit")
    assert (first["frame"], first["digest"]) == (2**70, "0x01ff")
    assert first["at"].endswith("Z")
    assert second["from"] == "other"


def test_log__exception__trace_on_the_same_line(stream: io.StringIO):
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("floe.test").critical("a bug", exc_info=True)
    [line] = stream.getvalue().splitlines()
    assert "ValueError: why" in json.loads(line)["trace"]


# --- metrics and health ---


def test_served__metrics_health_and_nothing_else():
    metrics = Metrics("keeper")
    metrics.counter("things", "Things.", "kind").labels("good").inc(3)
    with Served(metrics) as served:
        text = requests.get(f"{served.url}/metrics", timeout=5)
        assert 'floe_things_total{kind="good"} 3.0' in text.text
        assert 'floe_build{daemon="keeper",version=' in text.text
        assert requests.get(f"{served.url}/health", timeout=5).json()["ok"] is True
        assert requests.get(f"{served.url}/", timeout=5).status_code == 404
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{served.url}/health", timeout=5)


def test_health__no_good_round_for_too_long__503_until_the_next_one():
    metrics = Metrics("keeper", patience=0.0)
    with Served(metrics) as served:
        assert requests.get(f"{served.url}/health", timeout=5).status_code == 503
        metrics._patience = 60.0
        metrics.round_done()
        assert requests.get(f"{served.url}/health", timeout=5).status_code == 200


def test_health__problem__named_until_it_is_gone():
    metrics = Metrics("keeper")
    metrics.note("node a", "lagging")
    assert metrics.health()["problems"] == {"node a": "lagging"}
    assert metrics.health()["ok"]
    metrics.note("node a", None)
    assert metrics.health()["problems"] == {}


def test_served__port_that_is_taken__os_error():
    with Served(Metrics("a")) as served:
        port = int(served.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            Served(Metrics("b"), port=port)


# --- retries and the loop ---


class LateError(PassingError):
    """Something that a second try may make good."""

    retried = True


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list that fills with the seconds that would be waited."""
    found: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", found.append)
    return found


def test_retry__passes_in_the_end__waits_longer_each_time_with_jitter(waits: list[float]):
    calls = iter([LateError("1"), LateError("2"), LateError("3"), None])

    def call() -> str:
        if (error := next(calls)) is not None:
            raise error
        return "value"

    assert retry.retry(call, attempts=4, first=1.0, most=60.0) == "value"
    assert len(waits) == 3
    assert all(least <= wait <= least + 1 for wait, least in zip(waits, (1, 2, 4), strict=True))


def test_retry__never_passes__bounded_and_the_last_error(waits: list[float]):
    count = 0

    def call() -> None:
        nonlocal count
        count += 1
        raise LateError(str(count))

    with pytest.raises(LateError, match=r"^5$"):
        retry.retry(call, attempts=5)
    assert len(waits) == 4
    assert max(waits) <= 8 + 0.25


@pytest.mark.parametrize("error", [PassingError("no use"), ValueError("a bug")])
def test_retry__error_that_stays__raised_at_once(error: Exception, waits: list[float]):
    def call() -> None:
        raise error

    with pytest.raises(type(error)):
        retry.retry(call)
    assert waits == []


def test_loop__round_that_fails__the_next_one_makes_it_good():
    metrics, stop, rounds = Metrics("test"), threading.Event(), 0

    def step() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise PassingError("a node is late")
        if rounds == 2:
            assert metrics.health()["problems"] == {"round": "a node is late"}
        if rounds == 3:
            stop.set()

    loop(step, 0.0, metrics, stop)
    assert metrics.health()["problems"] == {}
    outcomes = {
        name: metrics.registry.get_sample_value("floe_rounds_total", {"outcome": name}) for name in ("done", "failed")
    }
    assert outcomes == {"done": 2.0, "failed": 1.0}


def test_loop__bug__ends_the_daemon():
    def step() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop(step, 0.0, Metrics("test"), threading.Event())


def test_loop__stopped_before__no_round():
    stop = threading.Event()
    stop.set()
    loop(lambda: pytest.fail("a round"), 0.0, Metrics("test"), stop)
