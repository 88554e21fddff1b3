"""The three members of the oracle's committee and the keeper, as processes that the demo starts and stops."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from floe.demo.processes import PAUSE, Process, ProcessError
from floe.devnet import Devnet
from floe.devnet.ports import free_ports

INTERVAL = 0.4
"""Seconds between two rounds of a daemon."""
PATIENCE = 2.0
"""Seconds without a report after which the chain goes on, so that it is the next member's turn."""
MOST = 180.0
"""Seconds that a report may take, on a busy machine, too."""

KEEPER_RULES = {
    # A large validator would make a slashing larger than a report may book at once.
    "top_up": {"fill_to_eth": 600},
    # So that the registry has the beacon chain's balances when the books are closed.
    "prove_balances": {"least_eth": 0, "most_cost_bps": 10_000, "cooldown": 0},
    # Fees of some days are small, and operators are to see theirs.
    "distribute_fees": {"least_eth": 0.02},
    "claim_fees": {"enabled": True, "least_eth": 0.05},
}
"""What differs from the keeper's defaults, in its configuration's section `rules`."""


class Daemons:
    """The processes, from `start` on until the context is left."""

    def __init__(self, folder: Path, deployment: Path, devnet: Devnet, members: Sequence[bytes], keeper: bytes) -> None:
        """`members` and `keeper` are secret keys."""
        common: dict[str, Any] = {
            "deployment": str(deployment),
            "beacon": [devnet.beacon_url],
            "execution": [devnet.execution_url],
            "max_head_age": None,  # the chain has a time of its own
            "interval": INTERVAL,
        }
        metrics, *more = free_ports(2 * len(members) + 1)
        ports = more[: len(members)]
        self.members = [
            Process(
                folder,
                "oracle",
                f"member{number}",
                secret,
                more[len(members) + number - 1],
                common
                | {
                    "listen": {"port": ports[number - 1]},
                    "peers": [f"http://127.0.0.1:{port}" for port in ports if port != ports[number - 1]],
                    "turn": 1,
                },
            )
            for number, secret in enumerate(members, 1)
        ]
        settings = common | {"beacon_interval": 1, "rules": KEEPER_RULES}
        self.keeper = Process(folder, "keeper", "keeper", keeper, metrics, settings)

    @property
    def all(self) -> list[Process]:
        """All processes."""
        return [*self.members, self.keeper]

    def __enter__(self) -> Self:
        try:
            for one in self.all:
                one.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def switch_off(self, place: int) -> None:
        """End a member's process at once, without a chance to put anything in order."""
        self.members[place].stop(signal.SIGKILL)

    def switch_on(self, place: int) -> None:
        """Start it again."""
        self.members[place].start()

    def wait_for_report(self, devnet: Devnet, is_there: Callable[[], bool]) -> None:
        """Wait for the committee; slots pass meanwhile if it needs them. Raises ProcessError."""
        until, next_slot = time.monotonic() + MOST, time.monotonic() + PATIENCE
        while not is_there():
            for one in self.all:
                one.check()
            now = time.monotonic()
            if now > until:
                logs = "\n".join(f"--- {one.name}\n{one.log()}" for one in self.members)
                raise ProcessError(f"no report within {MOST:.0f} s\n{logs}")
            if now > next_slot:
                devnet.advance(1)
                next_slot = now + PATIENCE
            time.sleep(PAUSE)

    def wait_for_keeper(self) -> None:
        """Wait until the keeper has looked at what there is now, and has done what is due. Raises ProcessError."""
        for one in self.all:
            one.check()
        self.keeper.wait_for_rounds(1)

    def stop(self) -> None:
        """End all processes in order."""
        for one in self.all:
            one.send(signal.SIGTERM)  # all at once, so that they end side by side
        for one in self.all:
            one.stop()
