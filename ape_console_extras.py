"""What `ape console` knows beyond Ape's own names: the deployed contracts, and a few helpers (`floe.console`)."""

from __future__ import annotations

from typing import Any


def ape_init_extras() -> dict[str, Any]:
    """Return the names; Ape calls this when a name is used that it does not know itself."""
    from floe import console

    return console.names()
