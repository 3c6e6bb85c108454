"""The seam between the control API and whoever reloads the configuration. Types only."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edgeproxy.errors import Problem


@dataclass(frozen=True, slots=True)
class Reloaded:
    """It is live; `changed` are the tables that differ, `warnings` what is unwise."""

    changed: tuple[str, ...]
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class NotReloaded:
    """Nothing has changed, and why."""

    problems: tuple[Problem, ...]


Reload = Callable[[], Awaitable[Reloaded | NotReloaded]]
"""Reads the configuration again; one at a time. If it is cancelled, nothing has changed."""


def document_of(problem: Problem) -> dict[str, object]:
    """Return a problem ready for JSON."""
    return {
        "file": problem.file,
        "line": problem.line,
        "path": problem.path,
        "message": problem.message,
        "nearest": problem.nearest,
    }
