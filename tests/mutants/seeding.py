"""Put one bug into a copy of the contracts.

    with seeding.seeded(seeding.by_name("fee-on-deficit")) as root:
        artifacts = build.load_many(names, root)

The committed sources are never touched.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from floe import build

SOURCES = ("contracts", "interfaces")
TESTS = ("floe", "tests", "pyproject.toml")
"""What the unit tests need besides."""
WORK = build.ROOT / ".build" / "mutants"


class SeedError(Exception):
    """A bug that does not fit the sources any more: its text is not there exactly once."""


class Change(Protocol):
    """One change of one source file."""

    @property
    def name(self) -> str:
        """What to call it in a table."""

    @property
    def path(self) -> str:
        """The file, relative to the root."""

    def apply(self, source: str) -> str:
        """`source` with the change in it."""


@dataclass(frozen=True)
class Bug:
    """A change of the sources that some check must notice."""

    name: str
    file: str
    """Below contracts/, as in "pool/ledger.vy"."""
    old: str
    """Text that the file holds exactly once."""
    new: str
    breaks: str
    """What it does to people."""

    @property
    def path(self) -> str:
        """The file, relative to the root."""
        return f"contracts/{self.file}"

    def apply(self, source: str) -> str:
        """`source` with the bug in it. Raises SeedError when the old text is not there exactly once."""
        if (count := source.count(self.old)) != 1:
            raise SeedError(f"{self.name}: its text stands {count} times in {self.path}, not once")
        return source.replace(self.old, self.new)


def by_name(name: str) -> Bug:
    """Return the hand-chosen bug called `name`. Raises SeedError when there is none."""
    from tests.mutants.bugs import BUGS

    for bug in BUGS:
        if bug.name == name:
            return bug
    raise SeedError(f"{name}: no such bug")


@contextmanager
def seeded(change: Change, *, with_tests: bool = False) -> Iterator[Path]:
    """Root of a copy of the contracts with `change` in it; it is deleted afterwards.

    `with_tests` makes it a root that pytest can be started in: with the tests, the Python package, and what has been
    compiled already.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        root = Path(folder)
        for name in (*SOURCES, *(TESTS if with_tests else ())):
            source = build.ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, root / name)
        if with_tests:
            shutil.copytree(build.ROOT / ".build" / "vyper", root / ".build" / "vyper")
        file = root / change.path
        file.write_text(change.apply(file.read_text(encoding="utf-8")), encoding="utf-8")
        yield root


def artifacts(
    change: Change, names: tuple[str, ...], root: Path, options: build.Options | None = None
) -> dict[str, build.Artifact]:
    """Artifacts of the contracts called `names`, those that import the change from `root`, the others as they are.

    `options` are for the contracts that import the change.

    Raises BuildError when the change does not compile.
    """
    target = (build.ROOT / change.path).resolve()
    made = {}
    for name in names:
        hit = target in build.closure_files(build.source_path(name))
        made[name] = build.load(name, root, options or build.Options()) if hit else build.load(name)
    return made
