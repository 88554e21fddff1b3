"""`ape floe keeper run`: put a keeper together and let it run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from floe.deploy.config import ConfigError
from floe.keeper.config import KeeperConfig
from floe.keeper.daemon import Keeper
from floe.service import log as logs
from floe.service.config import load
from floe.service.metrics import Metrics, Served
from floe.service.retry import loop, stop_on_signals
from floe.service.sender import Sender
from floe.service.starting import starting
from floe.service.store import Store

log = logging.getLogger(__name__)


def run(file: Path, dry_run: bool, once: bool, say: Callable[[str], None]) -> None:
    """Run a keeper by its configuration file until SIGTERM or SIGINT, or for one round (`once`).

    A dry run sends nothing: it says (`say`, a line each) what it would do, and why. Raises StartError when the keeper
    cannot start, when its only round fails, or when it has met a bug.
    """
    with starting():
        config = load(file, KeeperConfig)
        logs.start(config.log)
        _run(config, file, dry_run or config.dry_run, once, say)


def _run(config: KeeperConfig, file: Path, dry_run: bool, once: bool, say: Callable[[str], None]) -> None:
    record = config.record()
    if config.key is None and not dry_run:
        raise ConfigError(f"{file}: key: name one, or leave it at a dry run (--dry-run)")
    signer = config.key.signer() if config.key is not None else None
    metrics = Metrics("keeper", patience=max(300.0, 10 * config.interval))
    with ExitStack() as stack:
        nodes = config.nodes(record, metrics)
        stack.callback(nodes.close)
        store = stack.enter_context(Store(config.store.get_secret_value()))
        sender = None
        if signer is not None and not dry_run:
            sender = Sender(
                lambda: nodes.execution,
                signer,
                store,
                record.chain_id,
                tip=config.tip,
                patience=config.patience,
                replace_after=config.replace_after,
            )
        account = signer.address if signer else None
        keeper = Keeper(config, record, nodes, store, metrics, account, sender, say if dry_run else _silent)
        if once:
            keeper.round()
            return
        served = stack.enter_context(Served(metrics, config.metrics.host, config.metrics.port))
        where = {"metrics": served.url, "account": account, "chain": record.chain_id}
        log.info("started", extra=where)
        loop(keeper.round, config.interval, metrics, stop_on_signals())
        log.info("stopped")


def _silent(_: str) -> None:
    """Say nothing: the log has what was done."""
