"""The devnet's beacon process: `python -m floe.devnet.beacon_node SETTINGS FOLDER`.

SETTINGS is the JSON of a `Settings`, FOLDER takes the execution client's files. It starts the execution client, builds
genesis on its block 0, serves HTTP, and then says so in one line of JSON on its output. It ends when its input does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace

from floe.devnet.api import Api, Server
from floe.devnet.chain import Chain, ChainError
from floe.devnet.execution import ExecutionError, ExecutionSide
from floe.devnet.settings import Settings


def main(arguments: list[str]) -> int:
    """Run until the input ends, SIGTERM comes, or something fails. Returns the exit code."""
    settings = Settings(**json.loads(arguments[0]))
    if settings.by_clock and settings.genesis_time == 0:
        settings = replace(settings, genesis_time=int(time.time()))
    side = _side(settings, arguments[1])
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        chain = Chain(settings, side, settings.genesis_time, side.start(settings.genesis_time))
        failures: list[str] = []
        over = threading.Event()

        def stop(reason: str) -> None:
            failures.append(reason)
            over.set()

        api = Api(chain, side.url, stop)
        try:
            server = Server(api, settings.beacon_port)
        except OSError as error:
            raise ChainError(f"port {settings.beacon_port} of 127.0.0.1: {error.strerror}") from None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Thread(target=_until_input_ends, args=(over,), daemon=True).start()
        if settings.by_clock:
            threading.Thread(target=_by_clock, args=(api, over), daemon=True).start()
        ready = {
            "beacon_url": server.url,
            "execution_url": side.url,
            "execution_pid": side.pid,
            "genesis_time": settings.genesis_time,
        }
        print(json.dumps(ready), flush=True)
        over.wait()
        if failures:
            time.sleep(0.2)  # the answer that tells of it is on its way
            print(failures[0], file=sys.stderr)
            return 1
    except (ChainError, ExecutionError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        side.stop()
    return 0


def _side(settings: Settings, folder: str) -> ExecutionSide:
    if settings.execution == "anvil":
        from floe.devnet.anvil import Anvil

        return Anvil(settings, folder)
    from floe.devnet.ethereumjs import EthereumJS

    return EthereumJS(settings, folder)


def _until_input_ends(over: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    over.set()


def _by_clock(api: Api, over: threading.Event) -> None:
    """Make every slot at its time; those that are over already, at once."""
    settings = api.chain.settings
    while True:
        at = settings.genesis_time + (api.chain.slot + 1) * settings.seconds_per_slot
        if over.wait(max(0, at - time.time())):
            return
        api.step()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
