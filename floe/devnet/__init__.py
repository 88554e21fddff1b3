"""A real proof-of-stake chain on one machine.

    with Devnet() as devnet:
        devnet.beacon_url       # a Beacon API, as a consensus client serves it
        devnet.execution_url    # JSON-RPC of an execution client with the real deposit and system contracts
        devnet.advance(slots=8)

One process drives the executable consensus specs and holds all validators' keys; it starts the execution client.
"""

from floe.devnet.devnet import Devnet, DevnetError
from floe.devnet.settings import MNEMONIC, Settings

__all__ = ["MNEMONIC", "Devnet", "DevnetError", "Settings"]
