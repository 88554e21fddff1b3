"""Compile contracts, once, and never hand out anything stale.

Every program here that needs bytecode (Ape, the fuzz campaign, the bench, the mutants, the tests) asks this module.
A contract's bytecode depends on its *import closure*: its own source, every module and interface it reaches, the
compiler and its settings. The digest of all that names the artifact in the cache under `.build/vyper/`, so an edit
anywhere in the closure asks for a name that does not exist yet, and the contract is compiled again.

    from floe import build

    pool = build.load("FloePool")           # compiles, or reads the cache
    pool.deploy_code(oracle, queue)         # initcode with encoded constructor arguments
    build.load_many(build.names())          # all of them, two at a time

`python -m floe.build [NAME ...]` fills the cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""The repository: what absolute imports in contracts start from."""

EVM_VERSION = "prague"
"""The EVM that all contracts are compiled for. This is the only place that says so."""

JOBS = min(2, os.cpu_count() or 1)
"""Compilers that run at the same time."""

_FORMAT = 1  # of the cached files; a new number forgets the old ones
_PACKAGES = Path(sysconfig.get_paths()["purelib"])
_SUFFIXES = (".vy", ".vyi", ".json")
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<base>[\w.]+)[ \t]+)?import[ \t]+(?P<names>\([^)]*\)|[^\n#]+)", re.MULTILINE
)


class BuildError(Exception):
    """A contract that does not exist, is there twice, or does not compile."""


@dataclass(frozen=True)
class Options:
    """Compiler settings that a caller may choose; the defaults are what gets deployed.

    `optimize` is "none", "gas" or "codesize"; None leaves it to the source's pragma, else Vyper's own default ("gas").
    `venom` uses the experimental code generator: a differential target, not for production.
    """

    optimize: str | None = None
    venom: bool = False


@dataclass(frozen=True)
class Artifact:
    """What the compiler made of one contract. Bytes are held as hex without prefix; sizes are in bytes."""

    name: str
    source_id: str
    """Path of the source, relative to the root, with forward slashes."""
    closure: str
    """Digest of everything this artifact was made from."""
    abi: list[dict[str, Any]]
    initcode_hex: str
    runtime_hex: str
    """Runtime code as compiled: the immutables follow it on chain."""
    layout: dict[str, Any]
    """Vyper's layout: "storage_layout", and where present "transient_storage_layout" and "code_layout"."""
    method_ids: dict[str, str]
    """Signature such as "deposit(uint256,address)" to selector such as "0x6e553f65"."""
    userdoc: dict[str, Any]
    devdoc: dict[str, Any]

    @cached_property
    def initcode(self) -> bytes:
        """Creation code without constructor arguments."""
        return bytes.fromhex(self.initcode_hex)

    @cached_property
    def runtime(self) -> bytes:
        """Runtime code without the immutables behind it."""
        return bytes.fromhex(self.runtime_hex)

    @property
    def immutables_size(self) -> int:
        """Bytes that the immutables add to the code on chain."""
        return sum(length for _, length in _leaves(self.layout.get("code_layout", {}), "length"))

    @property
    def size(self) -> int:
        """Bytes of code on chain: what EIP-170 limits to 24,576."""
        return len(self.runtime_hex) // 2 + self.immutables_size

    def deploy_code(self, *arguments: Any) -> bytes:
        """Creation code followed by the ABI-encoded constructor arguments.

        Raises BuildError when their number is not what the constructor takes, eth_abi's errors when a type is wrong.
        """
        from eth_abi.abi import encode

        constructor: dict[str, Any] = next((e for e in self.abi if e["type"] == "constructor"), {})
        inputs: list[dict[str, Any]] = constructor.get("inputs", [])
        if len(inputs) != len(arguments):
            raise BuildError(f"{self.name}: constructor takes {len(inputs)} arguments, not {len(arguments)}")
        encoded: bytes = encode([_abi_type(entry) for entry in inputs], arguments)
        return self.initcode + encoded


# --- sources ---


def names(root: Path = ROOT, *, mocks: bool = True) -> list[str]:
    """Deployable contracts (CamelCase.vy under contracts/), sorted; `mocks=False` leaves out contracts/mocks/."""
    return sorted(path.stem for path in _deployables(root) if mocks or path.parent.name != "mocks")


def source_path(name: str, root: Path = ROOT) -> Path:
    """Path of the contract called `name`. Raises BuildError when there is none, or more than one."""
    found = [path for path in _deployables(root) if path.stem == name]
    if len(found) != 1:
        where = ", ".join(path.relative_to(root).as_posix() for path in found) or "nowhere under contracts/"
        raise BuildError(f"{name}: expected one source, found {where}")
    return found[0]


def closure_files(path: Path, root: Path = ROOT) -> list[Path]:
    """Return the source at `path` and every file that its imports could reach, sorted.

    Errs on the wide side: of an import that several files could answer, all are taken. So a new file that would
    shadow an old one is noticed too. `compile_contract` checks that the compiler read nothing else.
    """
    target = path.resolve()
    search = [target.parent, root.resolve(), _PACKAGES]
    seen: set[Path] = set()
    waiting = [target]
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        if file.suffix != ".json":
            waiting.extend(_imported(file, search))
    return sorted(seen)


def closure_digest(path: Path, root: Path = ROOT, options: Options = Options()) -> str:
    """Digest (hex) of the import closure of the source at `path`, of the compiler, its settings and this format."""
    digest = hashlib.sha256()
    head = [_FORMAT, version("vyper"), EVM_VERSION, asdict(options)]
    digest.update(json.dumps(head, sort_keys=True).encode())
    for file in closure_files(path, root):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"\n{_label(file, root)} {content}".encode())
    return digest.hexdigest()


# --- artifacts ---


def load(name: str, root: Path = ROOT, options: Options = Options(), *, cache: bool = True) -> Artifact:
    """Return the artifact of contract `name`, from the cache when nothing it depends on has changed.

    With `cache=False` it is compiled and nothing is read or written. Raises BuildError with the compiler's message.
    """
    path = source_path(name, root)
    if not cache:
        return compile_contract(path, root, options)
    return _read_cache(path, root, options) or _write_cache(compile_contract(path, root, options), root)


def load_many(
    wanted: Iterable[str],
    root: Path = ROOT,
    options: Options = Options(),
    *,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Artifact]:
    """Artifacts of several contracts by name; what is not in the cache is compiled, `JOBS` at a time.

    `progress` is called with the name of each contract that has to be compiled. Raises the first BuildError.
    """
    wanted = list(wanted)
    found = {name: _read_cache(source_path(name, root), root, options) for name in wanted}
    missing = [name for name, artifact in found.items() if artifact is None]

    def build(name: str) -> Artifact:
        if progress is not None:
            progress(name)
        if len(missing) > 1:
            _compile_in_child(name, root, options)
        return load(name, root, options)

    with ThreadPoolExecutor(max_workers=JOBS) as pool:
        built = dict(zip(missing, pool.map(build, missing), strict=True))
    return {name: built.get(name) or load(name, root, options) for name in wanted}


def compile_contract(path: Path, root: Path = ROOT, options: Options = Options()) -> Artifact:
    """Compile the source at `path` and touch no cache. Raises BuildError with the compiler's message."""
    from vyper.compiler import CompilerData, outputs_from_compiler_data
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import OptimizationLevel, Settings
    from vyper.exceptions import VyperException

    root, path = root.resolve(), path.resolve()
    source_id = _label(path, root)
    before = closure_digest(path, root, options)
    bundle = FilesystemInputBundle([_PACKAGES, root])
    settings = Settings(
        evm_version=EVM_VERSION,
        optimize=OptimizationLevel.from_string(options.optimize) if options.optimize else None,
        experimental_codegen=options.venom or None,
    )
    wanted = ("abi", "bytecode", "bytecode_runtime", "layout", "method_identifiers", "userdoc", "devdoc")
    try:
        data = CompilerData(bundle.load_file(source_id), bundle, settings=settings)
        # Through JSON, so that what is fresh and what comes from the cache are equal.
        made = json.loads(json.dumps(outputs_from_compiler_data(data, wanted)))
    except (VyperException, ValueError) as error:
        raise BuildError(f"{source_id}: {type(error).__name__}: {error}") from error

    read = {
        Path(item.resolved_path)
        for item in data.resolved_imports.compiler_inputs
        if not item.from_builtin and Path(item.resolved_path).suffix in _SUFFIXES
    }
    if missed := read - set(closure_files(path, root)):
        raise BuildError(f"{source_id}: imports {sorted(map(str, missed))}, which the closure does not know")
    if closure_digest(path, root, options) != before:
        raise BuildError(f"{source_id}: a source changed while it was compiled; build again")

    return Artifact(
        name=path.stem,
        source_id=source_id,
        closure=before,
        abi=made["abi"],
        initcode_hex=made["bytecode"].removeprefix("0x"),
        runtime_hex=made["bytecode_runtime"].removeprefix("0x"),
        layout=made["layout"],
        method_ids=made["method_identifiers"],
        userdoc=made["userdoc"],
        devdoc=made["devdoc"],
    )


def interface_abi(name: str, root: Path = ROOT) -> list[dict[str, Any]]:
    """ABI of interfaces/`name`.vyi, compiled afresh. Raises BuildError with the compiler's message."""
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import Settings
    from vyper.exceptions import VyperException

    bundle = FilesystemInputBundle([_PACKAGES, root.resolve()])
    source_id = f"interfaces/{name}.vyi"
    try:
        file = bundle.load_file(source_id)
        made = compile_from_file_input(file, bundle, Settings(evm_version=EVM_VERSION), output_formats=["abi"])
    except (VyperException, OSError, ValueError) as error:
        raise BuildError(f"{source_id}: {type(error).__name__}: {error}") from error
    abi: list[dict[str, Any]] = made["abi"]
    return abi


# --- internal ---


def _deployables(root: Path) -> Iterator[Path]:
    return (root / "contracts").rglob("[A-Z]*.vy")


def _label(file: Path, root: Path) -> str:
    """Name a source the same way on every machine."""
    for base in (root.resolve(), _PACKAGES):
        if file.is_relative_to(base):
            return file.relative_to(base).as_posix()
    return file.as_posix()


def _imported(file: Path, search: list[Path]) -> Iterator[Path]:
    """Every existing file that an import statement in `file` may mean."""
    for match in _IMPORT.finditer(file.read_text(encoding="utf-8")):
        base, listed = match["base"] or "", match["names"].strip("()")
        level = len(base) - len(base.lstrip("."))
        folders = [file.parents[level - 1]] if level else search
        prefix = [part for part in base.split(".") if part]
        for item in listed.split(","):
            if not (words := item.split()):
                continue
            stem = "/".join([*prefix, *words[0].split(".")])
            for candidate in (folder / (stem + suffix) for folder in folders for suffix in _SUFFIXES):
                if candidate.is_file():
                    yield candidate.resolve()


def _cache_file(path: Path, root: Path, digest: str) -> Path:
    return root / ".build" / "vyper" / f"{path.stem}-{digest[:24]}.json"


def _read_cache(path: Path, root: Path, options: Options) -> Artifact | None:
    digest = closure_digest(path, root, options)
    file = _cache_file(path, root, digest)
    try:
        artifact = Artifact(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    return artifact if artifact.closure == digest else None


def _write_cache(artifact: Artifact, root: Path) -> Artifact:
    file = _cache_file(Path(artifact.source_id), root, artifact.closure)
    file.parent.mkdir(parents=True, exist_ok=True)
    # Readers never see half a file: it is written beside its place and then moved there.
    draft = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    draft.write_text(json.dumps(asdict(artifact)), encoding="utf-8")
    draft.replace(file)
    return artifact


def _compile_in_child(name: str, root: Path, options: Options) -> None:
    command = [sys.executable, "-m", "floe.build", "--root", str(root), name]
    if options.optimize:
        command += ["--optimize", options.optimize]
    if options.venom:
        command += ["--venom"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(done.stderr.strip())
    sys.stderr.write(done.stderr)


def _leaves(tree: dict[str, Any], key: str) -> Iterator[tuple[str, int]]:
    """Pairs of name and `key` of all variables in a layout, which nests one level for each imported module."""
    for name, node in tree.items():
        if isinstance(node.get(key), int):
            yield name, node[key]
        else:
            yield from _leaves(node, key)


def _abi_type(entry: dict[str, Any]) -> str:
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(map(_abi_type, entry["components"])) + ")" + kind.removeprefix("tuple")


def main(arguments: list[str] | None = None) -> int:
    """Compile into the cache, print one line for each contract; 1 and the compiler's message when one fails."""
    parser = argparse.ArgumentParser(prog="python -m floe.build", description="Compile contracts into the cache.")
    parser.add_argument("names", nargs="*", help="contracts; all of them when none is named")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--optimize", choices=("none", "gas", "codesize"))
    parser.add_argument("--venom", action="store_true")
    given = parser.parse_args(arguments)
    options = Options(given.optimize, given.venom)
    try:
        artifacts = load_many(
            given.names or names(given.root), given.root, options, progress=lambda name: print(f"compiling {name}")
        )
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    for artifact in artifacts.values():
        print(f"{artifact.name:<24} {artifact.size:>6} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
