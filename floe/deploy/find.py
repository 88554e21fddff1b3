"""Floe on the chain that Ape is connected to: its record, checked against the chain, and its contracts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from ape.contracts import ContractInstance
from ethpm_types import ContractType

from floe import build
from floe.deploy import record as records
from floe.deploy.execute import genesis, is_passing, network_name
from floe.deploy.record import Record, RecordError


class NotDeployedError(RecordError):
    """There is no Floe on this chain, as far as the records know; the text says which command would make one."""


def find(provider: Any) -> Record:
    """Return the complete record of what is on a chain.

    Raises NotDeployedError, and RecordError when the record is damaged.
    """
    network = network_name(provider)
    file = records.path(network)
    choice = "http://127.0.0.1:8545" if is_passing(provider) else provider.network_choice
    command = f"ape run deploy --network {choice}"
    record = records.read(file)
    if record is None:
        raise NotDeployedError(f"Floe is not deployed on {network}: {command}")
    if record.genesis != genesis(provider):
        raise NotDeployedError(
            f"Floe is not deployed on {network}: {file.name} is the record of another chain: {command}"
        )
    if not record.complete:
        raise NotDeployedError(f"Floe is not wholly deployed on {network}: {command}")
    if not provider.web3.eth.get_code(record.address("FloePool")):
        raise NotDeployedError(f"Floe is not deployed on {network}: nothing is where {file.name} says: {command}")
    return record


def contracts(record: Record, names: Iterable[str]) -> dict[str, Any]:
    """Return contracts of a record by name, as Ape's instances. Raises RecordError for one that is not in it."""
    return {name: ContractInstance(record.address(name), _kind(name)) for name in names}


@cache
def _kind(contract: str) -> ContractType:
    artifact = build.load(contract)
    return ContractType.model_validate({"contractName": contract, "abi": artifact.abi, "devdoc": artifact.devdoc})
