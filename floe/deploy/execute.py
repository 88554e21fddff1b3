"""Send what is not on chain yet, one transaction after the other, and write the record after each.

The addresses hold only while every nonce is used as planned. So a transaction is sent only when its nonce is the
account's next one and nothing of the account waits in the mempool. When a run was interrupted after a transaction was
sent, the next run finds the contract at its address, checks its code and goes on. When a nonce was used for something
else, it stops: what is there already can never be completed, and nothing more is sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ape
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import encode_hex

from floe.deploy import record as records
from floe.deploy.config import DEPLOY, Config
from floe.deploy.plan import Step, plan
from floe.deploy.record import Deployed, Record

Say = Callable[[str], None]


class DeployError(Exception):
    """Why a deployment stopped, and what to do."""


def network_name(provider: Any) -> str:
    """Return what a network's parameter file and record are called; "local" for a chain of one's own."""
    name: str = provider.network.name
    return "local" if name == "custom" and provider.chain_id == 31337 else name


def is_development(provider: Any) -> bool:
    """Whether a chain is one's own, a fork included: its test accounts may pay, and its records may be replaced."""
    return bool(provider.network.is_dev) or network_name(provider) == "local"


def is_passing(provider: Any) -> bool:
    """Whether Ape itself started the chain: it ends with the command, and nothing on it is worth a record."""
    return getattr(provider, "process", None) is not None


def has_deposit_contract(provider: Any, config: Config) -> bool:
    """Whether there is a deposit contract where the parameters say: a chain of one's own may have none."""
    return bool(_code(provider, config.beacon.deposit_contract))


def genesis(provider: Any) -> str:
    """Return the hash of block 0, which tells one chain from another."""
    return str(encode_hex(provider.get_block(0).hash))


def deploy(account: Any, config: Config, file: Path, say: Say = lambda _: None) -> Record:
    """Deploy what the record in `file` does not have yet, on the network that Ape is connected to.

    `account` is an Ape account, `say` gets a line for each contract. Raises DeployError, RecordError or BuildError
    (floe.build); whatever was sent before is in the record.
    """
    provider = ape.networks.active_provider
    if provider.chain_id != config.chain_id:
        raise DeployError(f"the parameter file is for chain {config.chain_id}, this is chain {provider.chain_id}")
    record = _begin(account.address, config, file, provider, say)
    if not (is_development(provider) or has_deposit_contract(provider, config)):
        raise DeployError(
            f"there is no deposit contract at {config.beacon.deposit_contract}: is beacon.deposit_contract right?"
        )
    weth = config.liquidity.weth
    if not (weth == DEPLOY or is_development(provider) or _code(provider, weth)):
        raise DeployError(f"there is no WETH at {weth}: is liquidity.weth right?")
    for step in plan(config, account.address, record.first_nonce):
        done = record.contracts.get(step.contract)
        if done is None:
            item = _send(account, step, config.confirmations, provider, file, say)
            record = record.having(step.contract, item)
            records.write(record, file)
        elif not step.code.matches(_code(provider, done.address)):
            raise DeployError(
                f"{step.contract} at {done.address} is not what the sources compile to: "
                f"check out the sources that {file} was made with, or move it away and start again"
            )
        else:
            say(f"{step.contract:<18} {done.address}  was there")
    return record


def describe(step: Step, transaction: str, block: int, web3: Any) -> Deployed:
    """Check what is on chain, and describe it as records do. Raises DeployError when it is something else."""
    code = bytes(web3.eth.get_code(step.address))
    if not step.code.matches(code):
        raise DeployError(f"the code at {step.address} is not that of {step.contract}")
    return Deployed(
        address=step.address,
        transaction=transaction,
        block=block,
        nonce=step.nonce,
        value=step.value,
        arguments=json.loads(json.dumps(step.arguments)),  # lists all the way down, as they will be read
        source_digest=step.artifact.closure,
        creation_digest=encode_hex(keccak(step.artifact.deploy_code(*step.arguments))),
        runtime_digest=encode_hex(keccak(code)),
    )


def _differing(old: Any, new: Any, place: str = "") -> str:
    """Name the first value of two nested dictionaries that differs, and both."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return f"{place} ({old} there, {new} now)"
    name = next(name for name in [*new, *old] if old.get(name) != new.get(name))
    return _differing(old.get(name), new.get(name), f"{place}.{name}" if place else str(name))


def _begin(deployer: str, config: Config, file: Path, provider: Any, say: Say) -> Record:
    """Return the record to go on with, or a new one that starts at the account's next nonce.

    The record of another development chain is kept under another name, unless this chain ends with the command.
    """
    here = genesis(provider)
    record = records.read(file)
    if record is not None:
        first = next(iter(record.contracts.values()))
        gone = record.genesis != here or not _code(provider, first.address)
        if gone and not is_development(provider):
            raise DeployError(f"{first.address} of {file} is not on this chain: move the file away to start again")
        if not gone:
            if record.deployer != deployer:
                raise DeployError(f"{record.deployer} began this deployment, and only that account can go on with it")
            if record.config_digest != config.digest():
                raise DeployError(
                    f"the parameters differ from those in {file} at {_differing(record.config, config.model_dump())}: "
                    "put them back, or move it away"
                )
            return record
        if record.genesis != here and not is_passing(provider):
            kept = file.rename(file.with_name(f"{file.stem}.{record.genesis[2:10]}.json"))
            say(f"{file.name} was the record of another chain: it is now {kept.name}")
    return Record(
        network=network_name(provider),
        chain_id=provider.chain_id,
        genesis=here,
        deployer=deployer,
        first_nonce=_nonce(provider, deployer),
        config_digest=config.digest(),
        config=config.model_dump(),
    )


def _send(account: Any, step: Step, confirmations: int, provider: Any, file: Path, say: Say) -> Deployed:
    next_nonce = _nonce(provider, account.address)
    if next_nonce > step.nonce:
        item = _find(account.address, step, next_nonce, provider, file)
        say(f"{step.contract:<18} {step.address}  was there, not yet recorded")
        return item
    if next_nonce < step.nonce:
        raise DeployError(
            f"nonce {step.nonce} is planned for {step.contract}, but {account.address} is at {next_nonce}: "
            "the chain went back; wait until it has caught up, then run again"
        )
    if _nonce(provider, account.address, "pending") > next_nonce:
        raise DeployError(
            f"a transaction of {account.address} with nonce {next_nonce} waits in the mempool: "
            "wait until it is mined, then run again"
        )
    container = getattr(ape.project, step.contract)
    if bytes(container.contract_type.get_deployment_bytecode()) != step.artifact.initcode:
        raise DeployError(f"the sources of {step.contract} changed while this ran: run again with sources at rest")
    contract = account.deploy(
        container,
        *step.arguments,
        value=step.value,
        nonce=step.nonce,
        required_confirmations=confirmations,
    )
    block = int(provider.web3.eth.get_transaction_receipt(contract.txn_hash)["blockNumber"])
    say(f"{step.contract:<18} {contract.address}  block {block}")
    return describe(step, contract.txn_hash, block, provider.web3)


def _find(deployer: str, step: Step, next_nonce: int, provider: Any, file: Path) -> Deployed:
    """Find what an interrupted run sent: the newest blocks first, as nodes keep those."""
    if not step.code.matches(_code(provider, step.address)):
        raise DeployError(
            f"nonce {step.nonce} was planned for {step.contract} at {step.address}, but {deployer} used it for "
            f"something else (its next nonce is {next_nonce}). The contracts in {file} can never be completed: "
            "tell nobody their addresses, move the file away and start again"
        )
    eth = provider.web3.eth
    for number in range(eth.block_number, -1, -1):
        for transaction in eth.get_block(number, full_transactions=True)["transactions"]:
            if transaction["from"] == deployer and transaction["nonce"] == step.nonce:
                return describe(step, encode_hex(transaction["hash"]), number, provider.web3)
    raise DeployError(f"no block has the transaction that made {step.contract}")


def _nonce(provider: Any, address: str, block: str = "latest") -> int:
    return int(provider.web3.eth.get_transaction_count(address, block))


def _code(provider: Any, address: str) -> bytes:
    return bytes(provider.web3.eth.get_code(address))
