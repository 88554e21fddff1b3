"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from _pytest._code.code import Traceback

ROOT = Path(__file__).resolve().parent.parent

# Cheap tests first, so that a broken checkout says so within seconds.
ORDER = ("unit", "stateful", "integration", "bench", "fork", "devnet", "e2e")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `tests/e2e` be asked for other execution clients: options are read before that folder is."""
    parser.addoption(
        "--execution", action="append", choices=("anvil", "ethereumjs"), help="execution side of the devnet (anvil)"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the folders of tests/ in the order above, each in its own order."""

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        return ORDER.index(folder) if folder in ORDER else len(ORDER)

    items.sort(key=rank)


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(call: pytest.CallInfo[object], report: pytest.TestReport) -> None:
    """Show a failure's frames in this repository only.

    Ape means to, but takes everything below the project's folder for it: with .venv/ inside, all of pytest as well.
    """
    if call.excinfo is None or not hasattr(report, "longrepr"):
        return
    frames = [frame for frame in call.excinfo.traceback if not Path(frame.path).is_relative_to(ROOT / ".venv")]
    if frames:
        call.excinfo.traceback = Traceback(frames)
        report.longrepr = call.excinfo.getrepr(style="short", abspath=False, chain=False)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder with recorded chain data, which is too large for the repository.

    It is what FLOE_DATA names, else ../shared/data beside the checkout. Without it the test is skipped.
    """
    folder = Path(os.environ.get("FLOE_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recorded chain data at {folder}: set FLOE_DATA to the folder that holds it")
    return folder
