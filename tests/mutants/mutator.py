"""Small changes of the contracts, made by rule instead of by hand: what a mutation score is counted on.

The syntax tree says where an operator, a number or a statement stands; the change itself is made in the text, so that
a survivor can be shown as a line before and after. Left alone are events (the tests of each function look at them),
refusals' texts, and what is not in `FILES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from vyper.ast import nodes, parse_to_ast

from floe import build

FOLDERS = ("pool", "validators", "lib")
LEFT_OUT = {
    "Lens.vy": "reads only; the campaign does not deploy it, tests/unit compares it with the contracts that it reads",
    "ticket_art.vy": "a picture",
    "reasons.vy": "texts",
}
"""Files below FOLDERS that are not mutated, and why."""

COMPARISONS = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",)}
OPERATORS = {"+": ("-",), "-": ("+",), "*": ("//",), "<<": (">>",), ">>": ("<<",), "|": ("&",), "&": ("|",)}
SWAPS = {"min": "max", "max": "min", "unsafe_add": "unsafe_sub", "unsafe_sub": "unsafe_add"}
JUNCTIONS = {"and": "or", "or": "and"}


@dataclass(frozen=True)
class Mutant:
    """`old` at `start` of the file becomes `new`."""

    path: str
    start: int
    old: str
    new: str
    line: int
    rule: str

    @property
    def name(self) -> str:
        """Place and rule."""
        return f"{self.path.removeprefix('contracts/')}:{self.line} {self.rule}"

    def apply(self, source: str) -> str:
        """`source` with the change in it."""
        end = self.start + len(self.old)
        assert source[self.start : end] == self.old, f"{self.name}: the source is another"
        return source[: self.start] + self.new + source[end:]

    def difference(self, source: str) -> tuple[str, str]:
        """Line of the source before and after, indented as it is; a statement over several lines becomes one."""
        first = source.rindex("\n", 0, self.start) + 1
        last = source.index("\n", self.start + len(self.old))
        changed = self.apply(source)
        after = changed[first : len(changed) - (len(source) - last)]
        return _flat(source[first:last]), _flat(after)


def files(root: Path = build.ROOT) -> list[Path]:
    """Return the sources that are mutated."""
    found = [file for folder in FOLDERS for file in sorted((root / "contracts" / folder).glob("*.vy"))]
    return [file for file in found if file.name not in LEFT_OUT]


def mutants(root: Path = build.ROOT) -> list[Mutant]:
    """Every mutant of every file, in the order of the sources."""
    found = []
    for file in files(root):
        source = file.read_text(encoding="utf-8")
        found += [Mutant(file.relative_to(root).as_posix(), *change) for change in _changes(source)]
    return found


def sample(count: int, seed: int, root: Path = build.ROOT) -> list[Mutant]:
    """Draw `count` mutants (fewer when there are not so many), the same for the same seed and sources."""
    everything = mutants(root)
    chosen = Random(seed).sample(everything, min(count, len(everything)))
    return sorted(chosen, key=lambda mutant: (mutant.path, mutant.start, mutant.new))


# --- internal ---

_Change = tuple[int, str, str, int, str]
"""Start, old text, new text, line, rule."""


class _Text:
    """A source and where its lines start."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def first(self, node: nodes.VyperNode) -> int:
        line, column = int(node.lineno), int(node.col_offset)
        return self.starts[line - 1] + column

    def last(self, node: nodes.VyperNode) -> int:
        line, column = int(node.end_lineno), int(node.end_col_offset)
        return self.starts[line - 1] + column

    def of(self, node: nodes.VyperNode) -> str:
        return self.source[self.first(node) : self.last(node)]


def _changes(source: str) -> Iterator[_Change]:
    text, module = _Text(source), parse_to_ast(source)
    for node in module.get_descendants():
        if _is_left_alone(node):
            continue
        if node.get_ancestor(nodes.FunctionDef) is not None:
            yield from _statement(text, node)
        if isinstance(node, (nodes.BinOp, nodes.Compare)):
            yield from _between(text, node, node.left, node.right)
        elif isinstance(node, nodes.BoolOp):
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from _between(text, node, left, right)
        elif isinstance(node, nodes.Call) and (name := text.of(node.func)) in SWAPS:
            yield text.first(node), name, SWAPS[name], node.lineno, f"{name} to {SWAPS[name]}"
        elif isinstance(node, nodes.Int) and not isinstance(node.get_ancestor(), nodes.Subscript):
            yield text.first(node), text.of(node), str(node.value + 1), node.lineno, "number one up"


def _statement(text: _Text, node: nodes.VyperNode) -> Iterator[_Change]:
    """Leave a statement out, or turn a condition round."""
    old, line = text.of(node), node.lineno
    if isinstance(node, nodes.If):
        condition = text.of(node.test)
        yield text.first(node.test), condition, f"not ({condition})", line, "condition negated"
    elif isinstance(node, (nodes.Assert, nodes.Assign, nodes.AugAssign)) or _is_call(node):
        yield text.first(node), old, "pass", line, "statement left out"


def _between(text: _Text, node: nodes.VyperNode, left: nodes.VyperNode, right: nodes.VyperNode) -> Iterator[_Change]:
    """Change the operator between two operands."""
    first = text.last(left)
    gap = text.source[first : text.first(right)]
    operator = gap.strip(" ()\n")
    start = first + gap.find(operator)
    for table in (COMPARISONS, OPERATORS):
        for other in table.get(operator, ()):
            yield start, operator, other, left.end_lineno, f"{operator} to {other}"
    if operator in JUNCTIONS:
        yield start, operator, JUNCTIONS[operator], left.end_lineno, f"{operator} to {JUNCTIONS[operator]}"
    if operator == "//":
        old = text.of(node)
        # The tree leaves out brackets at the ends, but the two operands are in the text between.
        if old.count("(") == old.count(")"):
            a, b = old[: start - text.first(node)], old[start - text.first(node) + 2 :]
            yield text.first(node), old, f"({a.strip()} + {b.strip()} - 1) // {b.strip()}", node.lineno, "// rounded up"


def _is_call(node: nodes.VyperNode) -> bool:
    return isinstance(node, nodes.Expr) and not isinstance(node.value, nodes.Str)


def _is_left_alone(node: nodes.VyperNode) -> bool:
    """Whether a node belongs to an event, to a type, or to the refusal behind a condition (which is changed itself)."""
    if node.get_ancestor((nodes.Log, nodes.Raise, nodes.StructDef, nodes.InterfaceDef)) is not None:
        return True
    statement = node if isinstance(node, nodes.Expr) else node.get_ancestor(nodes.Expr)
    return statement is not None and "_refuse" in statement.node_source_code


def _flat(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.rstrip())
