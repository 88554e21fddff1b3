"""Mutants that change nothing that anybody could see, so that no test can find them.

File below contracts/, line before, line after, as `Mutant.difference` gives them. An entry whose line is gone does no
harm; a new survivor belongs here only with its reason.
"""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str, str], str] = {}
"""Change to the reason why nobody can notice it."""
