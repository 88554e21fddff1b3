"""What a beacon node says of its chain, for a parameter file's section `beacon`, or against it."""

from __future__ import annotations

from eth_utils.address import is_address, to_checksum_address

from floe.beacon.client import BeaconClient, BeaconError
from floe.beacon.containers import FAR_FUTURE_EPOCH, FORKS, fork_table
from floe.beacon.proofs import seconds_per_slot
from floe.deploy.config import Beacon, Config


def read(client: BeaconClient) -> Beacon:
    """Return the constants of a node's chain. Raises BeaconError, or ContainerError where no fork is known here."""
    contract = str(client.spec.get("DEPOSIT_CONTRACT_ADDRESS"))
    if not is_address(contract):
        raise BeaconError(f"{client.name}: its configuration has no address of the deposit contract")
    return Beacon(
        preset=client.preset.name,  # type: ignore[arg-type]
        deposit_contract=to_checksum_address(contract),
        genesis_time=client.genesis().time,
        seconds_per_slot=seconds_per_slot(client),
        forks={row.fork: row.first_slot // client.preset.slots_per_epoch for row in fork_table(client.spec)},
    )


def problems(config: Config, client: BeaconClient) -> list[str]:
    """Compare a parameter file with a node: a line for everything that differs. Raises as `read`.

    Of the forks only those count that are not older than the first one in the file.
    """
    found = read(client)
    first = min(config.beacon.forks.values())
    forks = {name: epoch for name, epoch in found.forks.items() if epoch >= first}
    mine = {"chain_id": config.chain_id, **_flat(config.beacon.model_dump())}
    theirs = {
        "chain_id": int(client.spec.get("DEPOSIT_CHAIN_ID", config.chain_id)),
        **_flat({**found.model_dump(), "forks": forks}),
    }
    return [
        f"{name}: {mine.get(name, 'nothing')} in the parameter file, {theirs.get(name, 'nothing')} says {client.name}"
        for name in dict.fromkeys([*mine, *theirs])
        if mine.get(name) != theirs.get(name)
    ]


def unknown_forks(client: BeaconClient) -> list[str]:
    """Return a line for each scheduled fork that came after those known here: the registry needs a row for it."""
    epochs = {name: int(epoch) for name, epoch in client.spec.items() if name.endswith("_FORK_EPOCH")}
    latest = max((epochs.get(f"{fork.upper()}_FORK_EPOCH", 0) for fork in FORKS), default=0)
    return [
        f"{client.name} knows a fork that is not known here, {name.removesuffix('_FORK_EPOCH').lower()}, at epoch "
        f"{epoch}: from then on no proof holds unless the registry has a row for it (add_fork)"
        for name, epoch in epochs.items()
        if latest < epoch < FAR_FUTURE_EPOCH
    ]


def _flat(section: dict[str, object]) -> dict[str, object]:
    forks = section.pop("forks")
    assert isinstance(forks, dict)
    return {
        f"beacon.{name}": value for name, value in [*section.items(), *((f"forks.{f}", e) for f, e in forks.items())]
    }
