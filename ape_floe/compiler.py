"""The compiler that Ape uses for ".vy" files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from ape.exceptions import CompilerError
from ape.logging import logger
from ape.managers.project import ContractManager
from ape_vyper.compiler import VyperCompiler
from ethpm_types import ContractType

from floe import build

CLOSURE_TAG = "custom:closure"
"""Where a contract type carries the digest of what it was made from."""


class ClosureCompiler(VyperCompiler):  # type: ignore[misc]
    """ape-vyper, but what is compiled comes from `floe.build`: one compiler and one cache for every program here.

    Inherited is what needs no compiling: error enrichment, source traces, versions.
    """

    def compile(
        self, contract_filepaths: Iterable[Path], project: Any = None, settings: dict[str, Any] | None = None
    ) -> Iterator[ContractType]:
        """Yield the contract type of each file. Raises CompilerError with Vyper's message."""
        if settings:
            raise CompilerError("vyper settings: Floe's are in floe/build.py; none can be given here")
        root = (project or self.local_project).path
        paths = [path if path.is_absolute() else root / path for path in map(Path, contract_filepaths)]
        try:
            artifacts = build.load_many(
                (path.stem for path in paths), root, progress=lambda name: logger.info(f"Compiling {name}")
            )
        except build.BuildError as error:
            raise CompilerError(str(error)) from error
        for artifact in artifacts.values():
            yield contract_type(artifact)


def contract_type(artifact: build.Artifact) -> ContractType:
    """Ape's form of an artifact, without the syntax tree and source map that would slow every start."""
    return ContractType.model_validate(
        {
            "contractName": artifact.name,
            "sourceId": artifact.source_id,
            "abi": artifact.abi,
            "deploymentBytecode": {"bytecode": f"0x{artifact.initcode_hex}"},
            "runtimeBytecode": {"bytecode": f"0x{artifact.runtime_hex}"},
            "userdoc": artifact.userdoc,
            "devdoc": {**artifact.devdoc, CLOSURE_TAG: artifact.closure},
        }
    )


def watch_closures() -> None:
    """Make Ape's question "did this source change?" cover everything the source imports."""
    original = ContractManager._detect_change
    if getattr(original, "covers_closure", False):
        return

    @wraps(original)
    def detect_change(self: Any, path: Path | str) -> bool:
        if original(self, path):
            return True
        source_id = path if isinstance(path, str) else self.sources._get_source_id(path)
        source = self.project.path / source_id
        if source.suffix != ".vy" or not source.is_file():
            return False
        digest = build.closure_digest(source, self.project.path)
        compiled = (self.project.manifest.contract_types or {}).values()
        return not any(
            kind.source_id == source_id and (kind.devdoc or {}).get(CLOSURE_TAG) == digest for kind in compiled
        )

    detect_change.covers_closure = True  # type: ignore[attr-defined]
    ContractManager._detect_change = detect_change
