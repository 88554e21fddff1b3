"""`ape floe keeper run`: put a keeper together and let it run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from floe.keeper.config import KeeperConfig
from floe.keeper.daemon import Keeper
from floe.oracle.signer import KeystoreSigner
from floe.service import log
from floe.service.config import ConfigError, load
from floe.service.metrics import Metrics, Served
from floe.service.retry import loop, stop_on_signals
from floe.service.sender import Sender
from floe.service.store import Store


def run(file: Path, dry_run: bool, once: bool, say: Callable[[str], None]) -> None:
    """Run a keeper by its configuration file until a signal, or (`once`) for one round.

    A dry run says what it would do and why. Raises ConfigError, StoreError, OSError (a port is taken) and, in a single
    round, PassingError.
    """
    config = load(file, KeeperConfig)
    record = config.record()
    dry = dry_run or config.dry_run
    if not dry and config.key is None:
        raise ConfigError(f"{file}: key: name a keystore, or set dry_run")
    signer = KeystoreSigner(config.key.unlock()) if config.key is not None and not dry else None
    log.start(config.log)
    metrics = Metrics("keeper", patience=max(300.0, 10 * config.interval))
    with ExitStack() as stack:
        store = stack.enter_context(Store(config.store.get_secret_value()))
        nodes = config.nodes(record, metrics)
        stack.callback(nodes.close)
        sender = None
        if signer is not None:
            sender = Sender(
                lambda: nodes.execution,
                signer,
                store,
                record.chain_id,
                tip=int(config.tip_gwei * 10**9),
                replace_after=config.replace_after,
            )
        keeper = Keeper(config, record, nodes, store, metrics, sender, say if dry else lambda _: None)
        if once:
            keeper.round()
            return
        stack.enter_context(Served(metrics, config.metrics.host, config.metrics.port))
        loop(keeper.round, config.interval, metrics, stop_on_signals())
