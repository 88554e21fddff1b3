"""`make test-fork`: the integration tests, and those of this folder, on a fork.

What is forked: the node that WEB3_PROVIDER_URI names (an RPC URL of mainnet or Hoodi, which its chain id tells apart),
else a local node that is started for it (`upstream`), without internet.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext

from web3 import HTTPProvider, Web3

from floe.build import ROOT
from floe.devnet.system_contracts import HOODI
from tests.fork.upstream import CHAIN_ID, local_node

VARIABLE = "WEB3_PROVIDER_URI"
"""Ape's own name for the node to use: the fork's upstream is found through it."""

NETWORKS = {CHAIN_ID: "ethereum:mainnet-fork:foundry", HOODI: "ethereum:hoodi-fork:foundry"}
TESTS = ("tests/fork", "tests/integration/test_deploy.py", "tests/integration/test_console.py")


def main(arguments: list[str]) -> int:
    """Run the tests; further arguments go to pytest. Returns pytest's exit code."""
    given = os.environ.get(VARIABLE)
    with nullcontext(given) if given else local_node() as url:
        network = NETWORKS.get(Web3(HTTPProvider(url)).eth.chain_id)
        if network is None:
            print(f"{VARIABLE}: the node is on neither of the chains {', '.join(map(str, NETWORKS))}", file=sys.stderr)
            return 2
        print(f"forking {'the node of ' + VARIABLE if given else 'a local node'}: {network}", flush=True)
        command = [sys.executable, "-m", "pytest", "--network", network, *TESTS, *arguments]
        return subprocess.run(command, cwd=ROOT, env={**os.environ, VARIABLE: url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
