"""The protocol's events as plain values: the one place here that reads logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ape
from ape.types import LogFilter
from eth_utils.hexadecimal import encode_hex


@dataclass(frozen=True, slots=True)
class Event:
    """One decoded log. Addresses are checksummed, numbers are integers."""

    contract: str
    """The key it was read under, such as "pool"."""
    name: str
    arguments: dict[str, Any]
    block: int
    index: int
    """Position in the block."""
    transaction: str
    time: int
    """Of the block, in seconds since the epoch."""


def read(contracts: Mapping[str, Any], first_block: int, last_block: int | None = None) -> list[Event]:
    """Return all events of some contracts (Ape instances by name), oldest first, both blocks included.

    Needs logs and block headers only, which every node has; no old state.
    """
    provider = ape.networks.active_provider
    logs = []
    # One after the other: ERC-20 and ERC-721 share the signature of `Transfer`.
    for key, contract in contracts.items():
        wanted = LogFilter(
            addresses=[contract.address],
            events=contract.contract_type.events,
            start_block=first_block,
            stop_block=last_block,
        )
        logs += [(key, log) for log in provider.get_contract_logs(wanted)]
    logs.sort(key=lambda item: (item[1].block_number, item[1].log_index))
    times = {number: _time(provider, number) for number in {log.block_number for _, log in logs}}
    return [
        Event(
            contract=key,
            name=log.event_name,
            arguments={kind.name: _plain(log.event_arguments[kind.name], kind) for kind in log.abi.inputs},
            block=log.block_number,
            index=log.log_index,
            transaction=_hash(log.transaction_hash),
            time=times[log.block_number],
        )
        for key, log in logs
    ]


def _time(provider: Any, block: int) -> int:
    return int(provider.web3.eth.get_block(block)["timestamp"])


def _hash(value: str | bytes) -> str:
    return value if isinstance(value, str) else encode_hex(value)


def _plain(value: Any, kind: Any) -> Any:
    """Take off Ape's own kinds of integers; a struct becomes a dictionary."""
    if kind.components:
        return {part.name: _plain(item, part) for part, item in zip(kind.components, value, strict=True)}
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
