"""The committed picture of every contract: its ABI and its storage layout, compared with a fresh compile.

Both are promises to people who cannot see a change coming: integrators read the ABI, and tools that look into
storage read the layout. A change is fine when it is meant: `python -m floe.snapshot write`, and the diff is reviewed.
Mocks are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from floe import build

SIZE_LIMIT = 22_000
"""Bytes of code on chain that a contract may have: EIP-170's 24,576 with reserve for a late repair."""


def expected(artifact: build.Artifact) -> dict[str, str]:
    """Snapshot files of one contract: path below snapshots/ to content."""
    views: dict[str, Any] = {"abi": artifact.abi, "layout": artifact.layout}
    return {f"{kind}/{artifact.name}.json": json.dumps(view, indent=2) + "\n" for kind, view in views.items()}


def problems(artifacts: dict[str, build.Artifact], root: Path = build.ROOT) -> list[str]:
    """One line for each snapshot that differs, is missing or belongs to nothing, and for each contract too large."""
    folder = root / "snapshots"
    wanted = {path: text for artifact in artifacts.values() for path, text in expected(artifact).items()}
    committed = {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8") for file in folder.rglob("*.json")
    }
    found = [f"snapshots/{path}: no such contract" for path in sorted(committed.keys() - wanted.keys())]
    found += [f"snapshots/{path}: missing" for path in sorted(wanted.keys() - committed.keys())]
    found += [
        f"snapshots/{path}: differs from what the sources compile to"
        for path in sorted(wanted.keys() & committed.keys())
        if wanted[path] != committed[path]
    ]
    found += [
        f"{artifact.source_id}: {artifact.size:,} bytes of code, limit {SIZE_LIMIT:,}"
        for artifact in artifacts.values()
        if artifact.size > SIZE_LIMIT
    ]
    return found


def write(artifacts: dict[str, build.Artifact], root: Path = build.ROOT) -> None:
    """Make the snapshot files equal to the artifacts; files of contracts that are gone are deleted."""
    folder = root / "snapshots"
    wanted = {path: text for artifact in artifacts.values() for path, text in expected(artifact).items()}
    for file in folder.rglob("*.json"):
        if file.relative_to(folder).as_posix() not in wanted:
            file.unlink()
    for path, text in wanted.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """`check` prints sizes and problems, 1 if there are any; `write` rewrites the snapshots."""
    parser = argparse.ArgumentParser(prog="python -m floe.snapshot", description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("check", "write"))
    parser.add_argument("--root", type=Path, default=build.ROOT)
    given = parser.parse_args(arguments)
    try:
        artifacts = build.load_many(build.names(given.root, mocks=False), given.root)
    except build.BuildError as error:
        print(error, file=sys.stderr)
        return 1
    if given.action == "write":
        write(artifacts, given.root)
    print(size_table(artifacts))
    found = problems(artifacts, given.root)
    for line in found:
        print(line, file=sys.stderr)
    if any(line.startswith("snapshots/") for line in found):
        print("If the change is meant: `make snapshot`, then commit what it wrote.", file=sys.stderr)
    return 1 if found else 0


def size_table(artifacts: dict[str, build.Artifact]) -> str:
    """Code size on chain of each contract in bytes, and what is left below the limit."""
    rows = [f"{name:<24} {a.size:>7,} bytes {SIZE_LIMIT - a.size:>8,} left" for name, a in artifacts.items()]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
