"""The configuration of a daemon: one YAML file, checked as a whole before anything else happens.

    class KeeperConfig(ServiceConfig):
        interval: Seconds = 12

    config = load(Path("keeper.yaml"), KeeperConfig)     # or ConfigError: one line for every problem

`${NAME}` in any text stands for the environment variable NAME, so that secrets need not be in the file. Paths are
relative to the file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

import yaml  # type: ignore[import-untyped]
from eth_account import Account
from eth_account.signers.local import LocalAccount
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from floe.deploy import record as records
from floe.deploy.config import ConfigError
from floe.service.metrics import Metrics
from floe.service.nodes import Chain, Nodes

__all__ = ["ConfigError", "Keystore", "Listener", "ServiceConfig", "StoreUrl", "Strict", "Url", "load", "parse"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise PydanticCustomError("url", "a URL starts with http:// or https:// and names a host")
    return value.rstrip("/")


def _store_url(value: SecretStr, info: ValidationInfo) -> SecretStr:
    try:
        url = make_url(value.get_secret_value())
        backend = url.get_backend_name()
    except ArgumentError:
        backend = ""
    if backend not in ("sqlite", "postgresql"):
        raise PydanticCustomError("store", "a store is sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE")
    if backend == "sqlite" and url.database not in (None, "", ":memory:"):
        url = url.set(database=str(_path(url.database, info)))
    return SecretStr(url.render_as_string(hide_password=False))


def _path(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value:
        raise PydanticCustomError("path", "not the name of a file")
    return Path((info.context or {}).get("folder", "."), Path(value).expanduser())


Url = Annotated[str, AfterValidator(_url)]
StoreUrl = Annotated[SecretStr, Field(strict=False), AfterValidator(_store_url)]
File = Annotated[Any, AfterValidator(_path)]
"""A path, relative to the file that names it."""
Seconds = Annotated[float, Field(gt=0, le=86_400, strict=False)]


class Strict(BaseModel):
    """A section: unknown names and wrong types are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Listener(Strict):
    """Where a server listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)]
    """0: a free one."""


class Keystore(Strict):
    """An encrypted key (Web3 Secret Storage, as geth, Ape and clef write it) and where its password is."""

    file: File
    password_file: File | None = None
    password: Annotated[SecretStr, Field(strict=False)] | None = None
    """Meant for `${NAME}`."""

    def unlock(self) -> LocalAccount:
        """Decrypt the key. Raises ConfigError, which never holds the password."""
        try:
            text = self.file.read_text(encoding="utf-8")
            if self.password_file is not None:
                password = self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
            else:
                password = self.password.get_secret_value() if self.password else ""
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {getattr(error, 'filename', None) or self.file}: {_said(error)}") from None
        try:
            secret = Account.decrypt(text, password)
        except Exception as error:  # the library raises many kinds
            raise ConfigError(f"{self.file}: {_said(error)}: not a keystore, or not its password") from None
        account: LocalAccount = Account.from_key(secret)
        return account


class ServiceConfig(Strict):
    """What every daemon is told."""

    deployment: File
    """`deployments/<network>.json`: which chain it is, and where the contracts are."""
    beacon: Annotated[list[Url], Field(min_length=1, max_length=8)]
    """Beacon nodes, the preferred one first."""
    execution: Annotated[list[Url], Field(min_length=1, max_length=8)]
    """Execution nodes, the preferred one first."""
    agree: Annotated[int, Field(ge=1, le=8)] = 1
    """How many beacon nodes must say the same about a block before it is relied on. A contradiction always stops."""
    timeout: Seconds = 30.0
    """Until a node's answer must begin; it must have ended in twice that."""
    max_head_age: Annotated[float, Field(gt=0, strict=False)] | None = 120.0
    """Seconds that the newest block may lie behind this machine's clock; null for a chain with a time of its own."""
    max_finality_epochs: Annotated[int, Field(ge=2)] = 5
    """How far finality may lie behind the head before the node counts as lagging."""
    needs_finality: ClassVar[bool] = True
    """Whether a node whose finality is that far behind is ruled out; else that is only named."""
    store: StoreUrl
    metrics: Listener = Listener(port=0)
    log: Literal["debug", "info", "warning", "error"] = "info"

    def record(self) -> records.Record:
        """Read the deployment record. Raises ConfigError where it is missing, damaged or not complete."""
        try:
            found = records.read(self.deployment)
        except records.RecordError as error:
            raise ConfigError(str(error)) from None
        except OSError as error:
            raise ConfigError(f"cannot read {self.deployment}: {_said(error)}") from None
        if found is None:
            raise ConfigError(f"{self.deployment}: there is no such deployment record")
        if not found.complete:
            raise ConfigError(f"{self.deployment}: the deployment is not complete: run `ape run deploy` again")
        return found

    def nodes(self, record: records.Record, metrics: Metrics) -> Nodes:
        """Return the nodes, under watch for the chain of a deployment."""
        return Nodes(
            self.beacon,
            self.execution,
            Chain.of(record),
            metrics,
            agree=self.agree,
            timeout=self.timeout,
            max_head_age=self.max_head_age,
            max_finality_epochs=self.max_finality_epochs,
            needs_finality=self.needs_finality,
        )


Model = TypeVar("Model", bound=BaseModel)


def load(file: Path, model: type[Model]) -> Model:
    """Read and check a configuration file. Raises ConfigError: a line for every problem."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {_said(error)}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {_misspelt(error)}") from None
    return parse(content, model, str(file), file.parent)


def parse(content: object, model: type[Model], name: str = "config", folder: Path | None = None) -> Model:
    """Check the content of a configuration file; paths are relative to `folder`. Raises ConfigError as `load`."""
    missing: list[tuple[str, str]] = []
    filled = _filled(content, missing, "")
    problems = [f"{name}: {place}: the environment variable {variable} is not set" for place, variable in missing]
    try:
        found = model.model_validate(filled, context={"folder": folder or Path()})
    except ValidationError as error:
        unset = {place for place, _ in missing}
        for problem in error.errors(include_input=False, include_url=False):
            place = _place(problem["loc"])
            text = "there is no such setting" if problem["type"] == "extra_forbidden" else problem["msg"]
            if place not in unset:
                problems.append(f"{name}: {place + ': ' if place else ''}{text}")
    if problems:
        raise ConfigError("\n".join(problems)) from None
    return found


def _filled(value: Any, missing: list[tuple[str, str]], place: str) -> Any:
    """Put environment variables in; note (place, variable) of those that are not set."""
    if isinstance(value, dict):
        return {key: _filled(one, missing, f"{place}.{key}".removeprefix(".")) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, missing, f"{place}[{number}]") for number, one in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            missing.append((place, match[1]))
        return os.environ.get(match[1], "")

    return _VARIABLE.sub(variable, value)


def _place(path: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _misspelt(error: yaml.YAMLError) -> str:
    """Say where; the library's own text quotes the file, which may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else type(error).__name__


def _said(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__
