"""A devnet for people: by the clock, until Ctrl-C."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from floe.devnet.devnet import Devnet, DevnetError
from floe.devnet.settings import MNEMONIC

SHOWN_ACCOUNTS = 3
SLOTS_PER_EPOCH = 8


def run(say: Callable[[str], None], **settings: Any) -> None:
    """Run a devnet and tell about it, until KeyboardInterrupt. Raises DevnetError."""
    for option in ("beacon_port", "execution_port"):
        _check_free(settings.get(option, 0), f"--{option.replace('_', '-')}")
    # Ape may have put a handler of its own here, which exits without a word.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(KeyboardInterrupt), Devnet(**settings) as devnet:
        for line in introduction(devnet):
            say(line)
        told = -1
        while True:
            epoch = devnet.slot // SLOTS_PER_EPOCH
            if epoch > told:
                told = epoch
                say(progress(devnet, epoch))
            time.sleep(min(1, devnet.settings.seconds_per_slot / 2))
    say("stopped")


def _check_free(port: int, option: str) -> None:
    """Raise DevnetError when something listens on a port of this machine already; 0 stands for any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DevnetError(
                f"port {port} of 127.0.0.1: {(error.strerror or str(error)).lower()}. "
                f"Stop what listens there, or take another port: {option} (0: a free one)"
            ) from None


def introduction(devnet: Devnet) -> list[str]:
    """Return what one needs to know to use it."""
    settings = devnet.settings
    accounts = [devnet.account(number) for number in range(SHOWN_ACCOUNTS)]
    return [
        f"{settings.fork} on {settings.execution}, {settings.validators} validators, "
        f"a slot every {settings.seconds_per_slot} s, {SLOTS_PER_EPOCH} slots an epoch, chain {settings.chain_id}",
        "",
        f"  Beacon API      {devnet.beacon_url}",
        f"  JSON-RPC        {devnet.execution_url}",
        f"  controls        {devnet.beacon_url}/floe/v1/ (floe/devnet/api.py lists them)",
        "",
        f'  {settings.accounts} accounts of "{MNEMONIC}", {settings.account_ether:,} ETH each:',
        *(f"    {account.address}  0x{account.key.hex().removeprefix('0x')}" for account in accounts),
        "    ... Everybody knows these keys: never send real ETH there.",
        "",
        f"  in Ape          ape console --network ethereum:local:{devnet.execution_url}",
        "  to stop         Ctrl-C; nothing is kept",
        "",
    ]


def progress(devnet: Devnet, epoch: int) -> str:
    """Return a line about the epoch that has begun."""
    found = devnet.beacon("/eth/v1/beacon/states/head/finality_checkpoints")["data"]
    validators = devnet.beacon("/eth/v1/beacon/states/head/validators?status=active")["data"]
    return f"epoch {epoch:>4}   finalized {found['finalized']['epoch']:>4}   active validators {len(validators):>4}"
