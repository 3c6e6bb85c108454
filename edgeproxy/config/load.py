"""From a file to a frozen `Config`, or to everything that is wrong with it at once.

The only door: what comes out has passed the schema, the checks between keys and the look at its
files. Reads the configuration file and looks whether the files it names are there; loads none of
them and listens nowhere.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edgeproxy.config import advice, files, lint
from edgeproxy.config.document import Document, parse, read
from edgeproxy.config.lint import Finding
from edgeproxy.config.locate import Loc
from edgeproxy.config.problems import problems_of
from edgeproxy.config.salvage import Salvage
from edgeproxy.config.schema import Config
from edgeproxy.errors import ConfigError, Problem


@dataclass(frozen=True)
class Loaded:
    """A configuration that can be used, where it came from, and what is unwise about it."""

    config: Config
    document: Document
    warnings: tuple[Problem, ...]


def load(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Load a configuration file, with overrides from `environ` (default: the process's own).

    Raises:
        ConfigError: with every problem.
    """
    return inspect(path, environ).config


def inspect(
    path: Path, environ: Mapping[str, str] | None = None, *, has_files: bool = True
) -> Loaded:
    """Load a configuration file and keep what a checking person wants to know.

    Without `has_files`, the files that it names may be missing: for those who ask what runs.

    Raises:
        ConfigError: with every problem.
    """
    return judge(read(path, os.environ if environ is None else environ), has_files=has_files)


def load_text(text: str, *, base: Path, file: str = "configuration") -> Config:
    """Load a configuration from text; relative paths start from `base`.

    Raises:
        ConfigError: with every problem.
    """
    return judge(parse(text, file=file, base=base, environ={})).config


def judge(document: Document, *, has_files: bool = True) -> Loaded:
    """Validate a document; without `has_files`, nobody looks whether the files are there.

    Raises:
        ConfigError: with every problem.
    """
    try:
        config = Config.model_validate(document.raw, context={"base": document.base})
    except ValidationError as error:
        salvage = Salvage(document)
        problems = problems_of(error, document)
        if salvage.config is not None:
            problems += _check(salvage.config, document, salvage.original, has_files=has_files)
        raise ConfigError(_in_order(problems)) from None
    if problems := _check(config, document, _same, has_files=has_files):
        raise ConfigError(_in_order(problems))
    return Loaded(config, document, _problems(advice.findings(config), document, _same))


def _check(
    config: Config, document: Document, original: Callable[[Loc], Loc], *, has_files: bool
) -> list[Problem]:
    names = {table: document.names(table) for table in ("origin", "policy", "cors")}
    found = [*lint.findings(config, names), *(files.findings(config) if has_files else ())]
    return list(_problems(found, document, original))


def _problems(
    found: Iterable[Finding], document: Document, original: Callable[[Loc], Loc]
) -> tuple[Problem, ...]:
    return tuple(document.problem(original(loc), text, near) for loc, text, near in found)


def _in_order(problems: list[Problem]) -> list[Problem]:
    """Sort by line, each problem once (salvaging may meet one again)."""
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line))


def _same(loc: Loc) -> Loc:
    return loc
