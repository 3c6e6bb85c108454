"""From what the schema's validation says to what an operator can act on.

One fault becomes one problem with the line of its key, a sentence in the file's own terms and the
nearest valid name. Never decides by itself that something is wrong.
"""

import re
from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edgeproxy.config.document import Document, nearest
from edgeproxy.config.later import is_later
from edgeproxy.config.locate import Loc
from edgeproxy.config.schema import Config
from edgeproxy.config.tables import Section
from edgeproxy.errors import Problem

_SENTENCES = {
    "missing": "required, but not there",
    "bool_type": "expected true or false, not {input}",
    "int_type": "expected a whole number, not {input}",
    "string_type": "expected text in quotes, not {input}",
    "model_type": "expected a table, not {input}",
    "dict_type": "expected a table, not {input}",
    "tuple_type": "expected a list, not {input}",
    "greater_than_equal": "expected at least {ge}, not {input}",
    "less_than_equal": "expected at most {le}, not {input}",
    "too_short": "expected at least {min_length}",
    "too_long": "expected at most {max_length}, not {actual_length}",
    "string_pattern_mismatch": "{input} holds a character that cannot stand here",
    "literal_error": "expected {expected}, not {input}",
    "value_error": "{error}",
}


def problems_of(error: ValidationError, document: Document) -> list[Problem]:
    """Return one problem for each fault, in the order of the file."""
    details = [(real_loc(e, document.raw), e) for e in error.errors()]
    misspelt = {
        (*loc[:-1], near)
        for loc, e in details
        if e["type"] == "extra_forbidden" and (near := nearest(loc[-1], names_at(loc[:-1])))
    }
    found = [
        _problem(loc, detail, document)
        for loc, detail in details
        if not _is_consequence(loc, detail, misspelt, [other for other, _ in details])
    ]
    return sorted(found, key=lambda problem: (problem.file, problem.line))


def _is_consequence(loc: Loc, detail: ErrorDetails, misspelt: set[Loc], others: list[Loc]) -> bool:
    """Tell whether another problem explains this one: one fault is reported once."""
    if detail["type"] == "missing":
        return loc in misspelt
    return is_only_of_items(loc, detail["type"], others)


def is_only_of_items(loc: Loc, kind: str, others: Iterable[Loc]) -> bool:
    """Tell whether a list is called too short because its items are wrong, each for itself."""
    return kind == "too_short" and any(len(o) > len(loc) and o[: len(loc)] == loc for o in others)


def _problem(loc: Loc, detail: ErrorDetails, document: Document) -> Problem:
    if detail["type"] == "extra_forbidden":
        if is_later(loc):
            return document.problem(loc, "not available in this version")
        return document.problem(loc, "unknown key", nearest(loc[-1], names_at(loc[:-1])))
    context = {key: str(value) for key, value in detail.get("ctx", {}).items()}
    sentence = _SENTENCES.get(detail["type"])
    message = detail["msg"] if sentence is None else ""
    if sentence is not None:
        message = sentence.format(**{**context, "input": _shown(detail["input"])})
    options = re.findall("'([^']*)'", context.get("expected", ""))
    return document.problem(loc, message, nearest(detail["input"], options))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, list | tuple) else repr(value)


def real_loc(detail: ErrorDetails, raw: Any) -> Loc:  # noqa: ANN401 - whatever TOML holds
    """Return a fault's path without what pydantic adds (names of union members, `[key]`)."""
    real: list[str | int] = []
    for part in detail["loc"]:
        if isinstance(raw, dict) and part in raw:
            raw = raw[part]
        elif isinstance(raw, list) and isinstance(part, int):
            raw = raw[part] if part < len(raw) else None
        elif detail["type"] != "missing" or part != detail["loc"][-1]:
            continue
        real.append(part)
    return tuple(real)


def names_at(loc: Loc) -> list[str]:
    """Return the keys that the table at `loc` may hold."""
    annotation: Any = Config
    for part in loc:
        annotation = _step(annotation, part)
    return [
        name
        for model in _models(annotation)
        if isinstance(model, type) and issubclass(model, Section)
        for name in model.model_fields
    ]


def _models(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - annotations are anything
    """Yield what a value may be; a list of tables may be written as one table."""
    for candidate in _flat(annotation):
        if get_origin(candidate) is tuple:
            yield from _flat(get_args(candidate)[0])
        else:
            yield candidate


def _step(annotation: Any, part: str | int) -> Any:  # noqa: ANN401 - annotations are anything
    for candidate in _flat(annotation):
        origin = get_origin(candidate)
        if origin is dict:
            return get_args(candidate)[1]
        if origin is tuple:
            return get_args(candidate)[0]
        if isinstance(candidate, type) and issubclass(candidate, Section):
            known = candidate.model_fields.get(str(part))
            return None if known is None else known.annotation
    return None


def _flat(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - annotations are anything
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _flat(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _flat(member)
    else:
        yield annotation
