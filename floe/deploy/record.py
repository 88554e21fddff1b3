"""What has been deployed, as it stands in `deployments/<network>.json`. `deployments/README.md` names every field."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from floe.build import ROOT
from floe.deploy.config import DEPLOY
from floe.deploy.plan import ORDER, WETH

FOLDER = ROOT / "deployments"
"""Where the records are, one file for each network."""


class RecordError(Exception):
    """A record that cannot be read."""


class Deployed(BaseModel):
    """One contract on chain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    transaction: str
    block: int
    nonce: int
    value: int
    arguments: list[Any]
    source_digest: str
    creation_digest: str
    runtime_digest: str


class Record(BaseModel):
    """One deployment, complete or not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    network: str
    chain_id: int
    genesis: str
    deployer: str
    first_nonce: int
    config_digest: str
    config: dict[str, Any]
    contracts: dict[str, Deployed] = {}

    @property
    def complete(self) -> bool:
        """Whether all contracts are there."""
        return all(name in self.contracts for name in ORDER)

    @property
    def first_block(self) -> int:
        """Block of the first contract: events are to be read from here."""
        return min(item.block for item in self.contracts.values())

    def address(self, contract: str) -> str:
        """Return where a contract is; WETH may be the chain's own. Raises RecordError when it is not there yet."""
        weth = self.config.get("liquidity", {}).get("weth", DEPLOY)
        if contract == WETH and weth != DEPLOY:
            return str(weth)
        if contract not in self.contracts:
            raise RecordError(f"{contract} is not deployed on {self.network} yet: run `ape run deploy` again")
        return self.contracts[contract].address

    def having(self, contract: str, item: Deployed) -> Record:
        """Return the record with one more contract."""
        return self.model_copy(update={"contracts": {**self.contracts, contract: item}})


def path(network: str, folder: Path = FOLDER) -> Path:
    """Return the file of a network's record."""
    return folder / f"{network}.json"


def read(file: Path) -> Record | None:
    """Read a record; None when there is none. Raises RecordError when it is damaged."""
    try:
        return Record.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise RecordError(f"{file}: not a deployment record: {error.errors()[0]['msg']}") from None


def write(record: Record, file: Path) -> None:
    """Write a record so that a reader, or a crash, sees the old one or the new one and nothing between."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}.draft")
    with draft.open("w", encoding="utf-8") as out:
        out.write(json.dumps(record.model_dump(), indent=2) + "\n")
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
