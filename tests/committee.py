"""A committee of daemons on a devnet, in one process and round by round."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from floe.deploy import record as records
from floe.devnet.ports import free_port
from floe.oracle import exchange
from floe.oracle.daemon import Daemon, OracleConfig
from floe.oracle.reading import Protocol
from floe.oracle.signer import KeystoreSigner, Signer
from floe.service.config import parse
from floe.service.metrics import Metrics
from floe.service.store import Store
from tests.e2e.world import World


class Member:
    """A daemon, with what it needs. Used as a context, it is one run of its process; the store's file outlives it."""

    def __init__(self, committee: Committee, place: int, key: Signer | None, dry_run: bool, changes: Any) -> None:
        world = committee.world
        self.place, self.metrics = place, Metrics("oracle")
        self._key = key or KeystoreSigner(world.devnet.account(world.members[place]))
        self._dry_run = dry_run
        self._config = parse(committee.config(place) | changes, OracleConfig)
        self._stack = ExitStack()

    def __enter__(self) -> Member:
        config, stack = self._config, self._stack
        record = config.record()
        nodes = config.nodes(record, self.metrics)
        stack.callback(nodes.close)
        self.protocol = Protocol(record, nodes)
        self.store = stack.enter_context(Store(config.store.get_secret_value()))
        self.daemon = Daemon(config, self.protocol, self.store, self.metrics, self._key, self._dry_run)
        if config.listen is not None:
            stack.enter_context(exchange.Served(self.daemon.exchange, config.listen.host, config.listen.port))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def step(self) -> None:
        """Make a round."""
        self.daemon.step()

    @property
    def problems(self) -> dict[str, str]:
        """What its health endpoint would complain about."""
        found: dict[str, str] = self.metrics.health()["problems"]
        return found

    def value(self, name: str, **labels: str) -> float:
        """Return a metric, 0 while it is not there."""
        return self.metrics.registry.get_sample_value(f"floe_oracle_{name}", labels) or 0


class Committee:
    """The members of a world's oracle; each has a folder's worth of state, and an address for the others."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.record = folder / "local.json"
        records.write(world.record, self.record)
        self.ports = [free_port() for _ in world.members]

    def config(self, place: int) -> dict[str, Any]:
        """Return a member's configuration file."""
        devnet = self.world.devnet
        return {
            "deployment": str(self.record),
            "beacon": [devnet.beacon_url],
            "execution": [devnet.execution_url],
            "max_head_age": None,
            "store": f"sqlite:///{self.folder}/member-{place}.sqlite",
            "listen": {"port": self.ports[place]},
            "peers": [f"http://127.0.0.1:{port}" for port in self.ports if port != self.ports[place]],
        }

    def member(self, place: int, key: Signer | None = None, dry_run: bool = False, **changes: Any) -> Member:
        """Return a member, not started yet; `changes` are of its configuration."""
        return Member(self, place, key, dry_run, changes)
