"""`ape floe devnet` where it cannot start."""

from __future__ import annotations

from socket import socket

import pytest
from click.testing import CliRunner

from ape_floe.cli import cli


@pytest.mark.parametrize("option", ["--beacon-port", "--execution-port"])
def test_devnet__port_taken__one_line_that_names_the_option(option):
    with socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ports = {"--beacon-port": "0", "--execution-port": "0"} | {option: str(port)}
        done = CliRunner().invoke(cli, ["devnet", *(word for pair in ports.items() for word in pair)])
    assert done.exit_code == 1
    assert done.output == (
        f"Error: port {port} of 127.0.0.1: address already in use. "
        f"Stop what listens there, or take another port: {option} (0: a free one)\n"
    )
