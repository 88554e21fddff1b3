"""`ape floe report`: recompute the report of a frame from public data."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from floe.beacon.client import BeaconError
from floe.deploy import record as records
from floe.deploy.config import ConfigError
from floe.oracle import balances
from floe.oracle.daemon import OracleConfig
from floe.oracle.observer import Observation
from floe.oracle.reading import Protocol
from floe.oracle.report import Report, canonical, canonical_hash, digest, report_of
from floe.service.config import load
from floe.service.metrics import Metrics
from floe.service.nodes import Chain, Nodes
from floe.service.retry import PassingError

GWEI = 10**9
ETHER = 10**18
NONE_SUBMITTED = 2
"""Exit code where there is nothing to compare with; 1 when it differs."""


def run(
    frame: int | None,
    config: Path | None,
    network: str | None,
    beacon: Sequence[str],
    execution: Sequence[str],
    explain: bool,
    diff: bool,
    as_json: bool,
    file: Path | None,
    console: Console,
) -> None:
    """Recompute and print the report of a frame, by default of the newest one that is final.

    Raises click.ClickException, also when `diff` finds another report than this one, and Exit(2) when it finds none.
    """
    logging.getLogger("floe").addHandler(logging.NullHandler())  # what matters is said below
    metrics = Metrics("report")
    try:
        record, nodes = _sources(config, network, beacon, execution, metrics)
        with closing(nodes):
            nodes.check()
            protocol = Protocol(record, nodes)
            slots = protocol.frame_slots()
            newest = int(nodes.finalized().message.slot) // slots
            frame = newest if frame is None else frame
            if frame > newest:
                raise click.ClickException(f"frame {frame} is not final yet: the newest that is final is {newest}")
            screen = Console(stderr=True)
            with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
                task = bar.add_task("withdrawals, by slot", total=None)
                seen = protocol.observe(
                    frame * slots, progress=lambda done, total: bar.update(task, completed=done, total=total)
                )
            report = report_of(seen)
            rows = explained(seen, report, frame, slots) if explain else []
            event, submitted = _submitted(protocol, report, seen.height) if diff else ("", None)
    except (BeaconError, ConfigError, PassingError, records.RecordError, balances.BalancesError) as error:
        raise click.ClickException(str(error)) from None
    for problem in metrics.health()["problems"].values():
        click.echo(f"Warning: {problem}", err=True)
    if file is not None:
        _write(file, balances.to_file(seen.indices, seen.balances_gwei))
    hashed = digest(report, protocol.oracle)
    text, checksum = canonical(report, protocol.oracle), canonical_hash(report, protocol.oracle)
    if as_json:
        content: dict[str, Any] = {
            "frame": frame,
            "report": report.as_json(),
            "digest": "0x" + hashed.hex(),
            "canonical": text.decode(),
            "sha256": checksum.hex(),
        }
        if explain:
            content["explained"] = [{"field": name, "value": value, "source": source} for name, value, source in rows]
        if diff:
            content["submitted"] = submitted and {"event": event, "report": submitted.as_json()}
            content["same"] = submitted == report
        click.echo(json.dumps(content))
    else:
        if explain:
            told = [(name, Text.assemble(value, "\n", (source, "dim"))) for name, value, source in rows]
            console.print(_table(f"Frame {frame}", ("field", "value, and where it comes from"), told))
        if diff and submitted is not None:
            pairs = zip(report.as_json().items(), submitted.as_json().values(), strict=True)
            lines = [(name, here, there, "" if here == there else "differs") for (name, here), there in pairs]
            console.print(_table(f"Frame {frame}, {event}", ("field", "here", "submitted", ""), lines))
            if submitted == report:
                click.echo("all fields agree with what was submitted")
        click.echo(text, nl=False)
        click.echo(f"sha256 {checksum.hex()}\ndigest 0x{hashed.hex()}")
    if diff and submitted is None:
        click.echo(f"Error: no report of frame {frame} was submitted (yet)", err=True)
        raise click.exceptions.Exit(NONE_SUBMITTED)
    if diff and submitted != report:
        raise click.ClickException(f"another report of frame {frame} was submitted")


def explained(seen: Observation, report: Report, frame: int, slots: int) -> list[tuple[str, str, str]]:
    """Return a line for every field: its name, its value as people read it, and where it comes from."""
    state, block = f"state 0x{seen.state_root.hex()}", f"at execution block {seen.height}"
    total = int(seen.balances_gwei.sum(dtype=object))
    return [
        (
            "ref_slot",
            f"{report.ref_slot}",
            f"frame {frame} of {slots} slots; read from the last block at or before it: slot {seen.slot}, root "
            f"0x{seen.block_root.hex()}, {state}, execution block {seen.height} 0x{seen.block_hash.hex()}",
        ),
        (
            "cl",
            _ether(report.cl),
            f"balances of {len(seen.indices)} validators ({_ether(total * GWEI)}) and pending deposits for our keys "
            f"({_ether(seen.pending_deposits_gwei * GWEI)}) in that state; our keys: the {seen.keys} that "
            f"ValidatorRegistry logged as topped up by then",
        ),
        ("deposited_at_ref", _ether(report.deposited_at_ref), f"FloePool.state()[5], bits 0 to 95, {block}"),
        (
            "withdrawn_at_ref",
            _ether(report.withdrawn_at_ref),
            f"the greatest of: what beacon blocks withdrew from our validators to the vault ({_ether(seen.credited)}), "
            f"but no more than what the vault got and the pool did not take as gifts "
            f"({_ether(seen.received - seen.taken)}); what was swept less cl ({_ether(seen.swept - report.cl)}); the "
            f"oracle's last().withdrawn ({_ether(seen.reported_withdrawn)}); {block}",
        ),
        (
            "donated_at_ref",
            _ether(report.donated_at_ref),
            f"what the vault had ever got (its balance, swept, gifts taken: {_ether(seen.received)}) {block}, less "
            f"withdrawn_at_ref",
        ),
        ("queue_tail_at_ref", _ether(report.queue_tail_at_ref, "floETH"), f"WithdrawalQueue.tail() {block}"),
        (
            "pending_loss",
            _ether(report.pending_loss),
            f"correlation penalties that {seen.slashed} slashed validators of ours have still to pay, as if they were "
            f"due now (consensus-specs, electra, process_slashings)",
        ),
        (
            "raised_at_ref",
            _ether(report.raised_at_ref * GWEI),
            f"FloePool.state()[5] from bit 192 on (Gwei), {block}",
        ),
        (
            "balances_root",
            "0x" + report.balances_root.hex(),
            f"Merkle-sum tree over index and balance of these {len(seen.indices)} validators; its last 8 bytes are "
            f"{total} Gwei",
        ),
        ("balances_hash", "0x" + report.balances_hash.hex(), "SHA-256 of the file that --balances writes"),
    ]


def _sources(
    config: Path | None, network: str | None, beacon: Sequence[str], execution: Sequence[str], metrics: Metrics
) -> tuple[records.Record, Nodes]:
    if config is not None:
        if network or beacon or execution:
            raise ConfigError("--config names everything: leave --network, --beacon and --execution out")
        found = load(config, OracleConfig)
        record = found.record()
        nodes = found.nodes(record, metrics)
        return record, nodes
    if not (network and beacon and execution):
        raise ConfigError("name --config FILE, or all of --network NAME, --beacon URL and --execution URL")
    for url in (*beacon, *execution):
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"the URL of a node starts with http:// or https://, this one is {url!r}")
    file = records.path(network)
    known = records.read(file)
    if known is None or not known.complete:
        there = ", ".join(sorted(path.stem for path in records.FOLDER.glob("*.json"))) or "none"
        raise ConfigError(f"{network}: there is no record of a complete deployment by this name (there are: {there})")
    return known, Nodes(beacon, execution, Chain.of(known), metrics)


def _submitted(protocol: Protocol, report: Report, since: int) -> tuple[str, Report | None]:
    """Return what became of a frame's report, and the report."""
    applied, held = protocol.outcome(report.ref_slot, since)
    log = applied or held
    if log is None:
        return "", None
    if log["args"]["digest"] == digest(report, protocol.oracle):
        return log["event"].lower(), report
    found = protocol.submitted(log)
    if found is None:
        raise ConfigError(
            f"another report was submitted, with the digest 0x{log['args']['digest'].hex()}; transaction "
            f"0x{bytes(log['transactionHash']).hex()} does not show its fields"
        )
    return log["event"].lower(), found


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one) if isinstance(one, str) else one for one in row))
    return table


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from None


def _ether(wei: int, unit: str = "ETH") -> str:
    sign, amount = "-" if wei < 0 else "", abs(wei)
    return f"{sign}{amount // ETHER:,}.{amount % ETHER:018d}".rstrip("0").rstrip(".") + f" {unit}"
