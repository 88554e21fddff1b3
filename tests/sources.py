"""What the contracts' sources say about themselves: functions, the reasons they can revert with, the calls they make.

Read from the compiler's annotated syntax tree, so internal calls are followed through modules, and external ones into
our own contracts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import vyper.ast as vy
from vyper.compiler import CompilerData
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.settings import Settings

from floe import build

PEERS = {
    "IFloePool": "FloePool",
    "IWithdrawalQueue": "WithdrawalQueue",
    "IRebasingToken": "RebasingToken",
    "IEtherVault": "WithdrawalVault",
    "IWithdrawalVault": "WithdrawalVault",
    "IValidatorRegistry": "ValidatorRegistry",
    "IPoolReads": "FloePool",
    "IBalance": "WithdrawalQueue",
    "IERC20": "FloePool",
    "IERC4626": "FloePool",
    "IERC721": "WithdrawalQueue",
    "IExitReserve": "ExitReserve",
    "IStablePair": "StablePair",
    "StakedToken": "StablePair",
}
"""Interface to the contract of ours that is called through it."""

STRANGERS = {"IERC721Receiver", "RewardToken"}
"""Interfaces of contracts that are not ours."""

ETHEREUM = {"DepositContract", "IWeth"}
"""Interfaces of contracts that are everybody's: they call nobody, and their reasons are their own."""

_QUOTED = re.compile(r'"([a-z0-9_ -]+: [^"]+)"')
_REFERENCE = re.compile(r"(?P<pool>the pool's )?`(?:(?P<contract>\w+)\.)?(?P<name>\w+)`")


@dataclass(frozen=True)
class Function:
    """An external function of a deployable contract, all its overloads together."""

    contract: str
    name: str
    own: bool
    """Whether its source is ours."""
    docstring: str
    raised: frozenset[str]
    """Reasons that its own code and what it calls internally can revert with."""
    calls: frozenset[tuple[str, str]]
    """Our contracts and functions that it calls."""
    to_strangers: bool
    """Whether it runs code that is not ours: sends ETH or calls back."""


@cache
def functions(contract: str) -> dict[str, Function]:
    """External functions of a contract by name, the constructor as `__init__`."""
    path = build.source_path(contract).relative_to(build.ROOT)
    bundle = FilesystemInputBundle([build._PACKAGES, build.ROOT])
    data = CompilerData(bundle.load_file(path), bundle, settings=Settings(evm_version=build.EVM_VERSION))
    module = data.annotated_vyper_module._metadata["type"]
    exposed = [*module.exposed_functions, *([module.init_function] if module.init_function else [])]
    return {function.name: _function(contract, function) for function in exposed}


def reasons(contract: str, function: str) -> frozenset[str]:
    """Reasons that a function can revert with, those of our contracts that it calls included."""
    found = functions(contract)[function]
    return found.raised.union(*(reasons(*call) for call in found.calls))


def documented(contract: str, function: str) -> tuple[set[str], set[str]]:
    """Reasons that a docstring lists: those it quotes, and those of functions that it refers to.

    "as `deposit`" is a function of the same contract, "as `WithdrawalVault.request`" and "as the pool's `report`" are
    those of others.
    """
    _, found, text = functions(contract)[function].docstring.partition("Reverts")
    if not found:
        return set(), set()
    referred: set[str] = set()
    for match in _REFERENCE.finditer(_QUOTED.sub("", text)):
        target = "FloePool" if match["pool"] else match["contract"] or contract
        if match["name"] in functions(target):
            referred = referred.union(*documented(target, match["name"]))
    return set(_QUOTED.findall(text)), referred


def declared() -> set[str]:
    """Reasons that contracts/lib/reasons.vy declares."""
    text = (build.ROOT / "contracts/lib/reasons.vy").read_text()
    return set(re.findall(r'^\w+: constant\(String\[32\]\) = "(.*)"$', text, re.MULTILINE))


# --- internal ---


def _function(contract: str, function: Any) -> Function:
    bodies = [f.ast_def for f in (function, *function.reachable_internal_functions) if f.ast_def is not None]
    bodies = [body for body in bodies if isinstance(body, vy.FunctionDef)]
    source = Path(function.decl_node.module_node.resolved_path) if function.decl_node else build.ROOT
    doc = getattr(function.ast_def, "doc_string", None)
    calls = [call for body in bodies for call in _external_calls(body)]
    sends = any(
        isinstance(call.func, vy.Name) and call.func.id in ("raw_call", "send")
        for body in bodies
        for call in body.get_descendants(vy.Call)
        if not _is_static(call)
    )
    return Function(
        contract=contract,
        name=function.name,
        own=source.is_relative_to(build.ROOT / "contracts"),
        docstring=" ".join(doc.value.split()) if doc is not None else "",
        raised=frozenset(reason for body in bodies for reason in _raised(body)),
        calls=frozenset((PEERS[interface], name) for interface, name in calls if interface in PEERS),
        to_strangers=sends or any(interface in STRANGERS for interface, _ in calls),
    )


def _raised(body: Any) -> Iterator[str]:
    """Reasons in a function's own code: of `assert` and `raise`, and those handed to the helper in reasons.vy."""
    for node in body.get_descendants((vy.Assert, vy.Raise, vy.Call)):
        if isinstance(node, vy.Call):
            helper = getattr(node.func._metadata.get("type"), "decl_node", None)
            if helper is not None and helper.module_node.path.endswith("lib/reasons.vy"):
                yield from (str(argument.reduced().value) for argument in node.args if _is_text(argument))
        else:
            reason = node.msg if isinstance(node, vy.Assert) else node.exc
            if reason is not None and _is_text(reason):
                yield str(reason.reduced().value)


def _is_text(node: Any) -> bool:
    return isinstance(node.reduced(), vy.Str)


def _is_static(call: Any) -> bool:
    return any(keyword.arg == "is_static_call" and keyword.value.reduced().value for keyword in call.keywords)


def _external_calls(body: Any) -> Iterator[tuple[str, str]]:
    """Interface and function of every external call."""
    for node in body.get_descendants((vy.ExtCall, vy.StaticCall)):
        target = node.value.func
        interface = Path(target.value._metadata["type"]._id).stem
        if interface not in PEERS.keys() | STRANGERS | ETHEREUM:
            raise AssertionError(f"{body.name} calls {interface}: ours, or a stranger's?")
        yield interface, target.attr
