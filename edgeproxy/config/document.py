"""One configuration as written: the file's tables with the environment's overrides laid over them.

Knows where everything came from, so that whoever finds a fault can say the line; knows nothing of
what the keys mean. A text that is no TOML, or a file that cannot be read, ends here as a
`ConfigError`.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeproxy.config.locate import Lines, Loc
from edgeproxy.errors import ConfigError, Problem

PREFIX = "EDGEPROXY__"
_AT_LINE = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>[0-9]+), .*|end of document)\)$")


def nearest(name: object, valid: Iterable[str]) -> str:
    """Return the valid name that comes closest to a misspelt one, or ""."""
    if not isinstance(name, str):
        return ""
    return next(iter(difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)), "")


@dataclass(frozen=True)
class Document:
    """Raw tables and their provenance.

    `overrides` says which variable of the environment set what; `base` is the folder that relative
    paths start from.
    """

    file: str
    base: Path
    raw: dict[str, Any]
    lines: Lines
    overrides: dict[Loc, str] = field(default_factory=dict)

    def problem(self, loc: Loc, message: str, near: str = "") -> Problem:
        """Return a problem of the key at `loc`, with the line or the variable it came from."""
        path = ".".join(map(str, loc))
        for size in range(len(loc), 0, -1):
            variable = self.overrides.get(loc[:size])
            if variable is not None:
                return Problem("environment", 0, path, f"{message} (from {variable})", near)
        return Problem(self.file, self.lines.line(loc), path, message, near)

    def names(self, table: str) -> list[str]:
        """Return the names declared in a table of tables, whether their content is valid or not."""
        tables = self.raw.get(table)
        return [str(name) for name in tables] if isinstance(tables, dict) else []


def read(path: Path, environ: Mapping[str, str]) -> Document:
    """Read a configuration file.

    Raises:
        ConfigError: it cannot be read, or it is no TOML.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            [Problem(str(path), 0, "", f"cannot be read: {error.strerror}")]
        ) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(str(path), line, "", "is not UTF-8 text")]) from None
    return parse(text, file=str(path), base=path.parent, environ=environ)


def parse(text: str, *, file: str, base: Path, environ: Mapping[str, str]) -> Document:
    """Parse a configuration's text.

    Raises:
        ConfigError: it is no TOML, or an override leads nowhere.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(str(error), text, file)]) from None
    document = Document(file, base.absolute(), raw, Lines(text))
    problems = [
        problem
        for variable in sorted(environ)
        if variable.startswith(PREFIX)
        for problem in _override(document, variable, environ[variable])
    ]
    if problems:
        raise ConfigError(problems)
    return document


def _syntax_problem(message: str, text: str, file: str) -> Problem:
    match = _AT_LINE.match(message)
    if match is None:
        return Problem(file, 0, "", f"not TOML: {message}")
    line = int(match["line"]) if match["line"] else len(text.splitlines())
    return Problem(file, line, "", f"not TOML: {match['what'][:1].lower()}{match['what'][1:]}")


def _override(document: Document, variable: str, text: str) -> list[Problem]:
    """Lay one variable over the tables; return what is wrong with it."""
    loc: Loc = ()
    container: Any = document.raw
    *parents, last = variable.removeprefix(PREFIX).split("__")
    for part in parents:
        key = _spelling(container, part)
        loc += (key,)
        container = _child(container, key)
        if not isinstance(container, dict | list):
            return [
                Problem("environment", 0, ".".join(map(str, loc)), f"no table (from {variable})")
            ]
    key = _spelling(container, last)
    if isinstance(container, list) and not (isinstance(key, int) and key < len(container)):
        return [
            Problem("environment", 0, ".".join(map(str, loc)), f"no item {last} (from {variable})")
        ]
    container[key] = _value(text)
    document.overrides[(*loc, key)] = variable
    return []


def _child(container: Any, key: str | int) -> Any:  # noqa: ANN401 - whatever TOML holds
    if isinstance(container, list):
        return container[key] if isinstance(key, int) and key < len(container) else None
    return container.setdefault(key, {})


def _spelling(container: Any, part: str) -> str | int:  # noqa: ANN401 - whatever TOML holds
    """Find the key meant: variables are upper-case and know no hyphen."""
    if isinstance(container, list):
        return int(part) if re.fullmatch("[0-9]{1,4}", part) else part
    wanted = part.lower()
    for key in container:
        if key.lower().replace("-", "_") == wanted:
            return str(key)
    return wanted


def _value(text: str) -> Any:  # noqa: ANN401 - whatever TOML holds
    """Read a variable as a TOML value; what is none is text without its quotes."""
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if len(table) == 1 else text
