"""Ape plugin: Ape compiles through `floe.build`, and there are the `ape floe ...` commands.

Ape itself decides from a file's own text whether to compile it again, so an edited module or interface would leave
its importers stale. With this plugin a contract is fresh only if the digest of its whole import closure, which every
compiled contract carries in its developer documentation, is still the one on disk. `ape compile`, `ape test`,
`ape run` and `ape console` all go through this.
"""

from __future__ import annotations

from typing import Any

from ape import plugins


@plugins.register(plugins.CompilerPlugin, trylast=True)  # type: ignore[untyped-decorator]
def register_compiler() -> tuple[tuple[str, ...], type[Any]]:
    """Take over ".vy" from ape-vyper: of two compilers for one suffix Ape keeps the one it sees first."""
    from ape_floe.compiler import ClosureCompiler, watch_closures

    watch_closures()
    return (".vy",), ClosureCompiler
