"""The reference manual's tables, made of the schema so that they cannot lie.

`python -m edgeproxy.config.reference docs/configuration.md` rewrites what stands between the two
marks of that file; a test compares. Knows nothing that the schema and the presets do not say.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from edgeproxy.cache.key import QueryPolicy
from edgeproxy.config.policies import PRESETS
from edgeproxy.config.schema import Config, PolicyOptions
from edgeproxy.config.tables import Section
from edgeproxy.config.units import format_duration, format_size
from edgeproxy.config.values import Expects

BEGIN = "<!-- the tables below are made by edgeproxy.config.reference -->"
END = "<!-- end of the tables -->"


def render() -> str:
    """Return all tables as Markdown."""
    parts = [_table("The file", Config)]
    parts += [_table(title, model) for title, model in _sections((), Config)]
    parts.append(_presets())
    return "\n\n".join(parts)


def replace(document: str) -> str:
    """Return the document with its tables made anew.

    Raises:
        ValueError: a mark is missing.
    """
    before, _, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError("the marks around the tables are missing")
    return f"{before}{BEGIN}\n\n{render()}\n\n{END}{after}"


def _sections(path: tuple[str, ...], model: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    for name, info in model.model_fields.items():
        kind, inner = _inner(info.annotation)
        if inner is not None:
            here = (*path, name, *(("NAME",) if kind == "dict" else ()))
            title = ".".join(here)
            yield f"`[[{title}]]`" if kind == "tuple" else f"`[{title}]`", inner
            yield from _sections(here, inner)


def _inner(annotation: Any) -> tuple[str, type[Section] | None]:  # noqa: ANN401 - any annotation
    """Return how an annotation holds a table, and the table."""
    origin = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "table", annotation
    if origin in (Annotated, Union, UnionType, dict, tuple):
        for member in get_args(annotation):
            kind, inner = _inner(member)
            if inner is not None:
                return (origin.__name__ if origin in (dict, tuple) else kind), inner
    return "", None


def _table(title: str, model: type[Section]) -> str:
    rows = [
        f"| `{name}` | {_type(info)} | {_default(info)} | {info.description} |"
        for name, info in model.model_fields.items()
    ]
    purpose = (model.__doc__ or "").strip()
    head = ["| key | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([f"### {title}", "", purpose, "", *head, *rows])


def _type(info: FieldInfo) -> str:
    for extra in reversed(info.metadata):
        if isinstance(extra, Expects):
            return _words(extra.text, info.annotation)
    return _words("", info.annotation)


def _words(expects: str, annotation: Any) -> str:  # noqa: ANN401 - any annotation
    """Say a type in the operator's words."""
    origin, args = get_origin(annotation), get_args(annotation)
    if expects in ("list", "one or list"):
        item = _words("", args[0])
        return f"{item} or list of them" if expects == "one or list" else f"list: {item}"
    if expects:
        return expects
    if origin is Annotated:
        own = [extra.text for extra in args[1:] if isinstance(extra, Expects)]
        return _words(own[-1] if own else "", args[0])
    if origin is Literal:
        return ", ".join(
            f'`"{value}"`' if isinstance(value, str) else f"`{value}`" for value in args
        )
    if origin in (Union, UnionType):
        return " or ".join(_words("", each) for each in args if each is not type(None))
    if origin is dict:
        return "tables by name"
    return "table" if _inner(annotation)[1] is not None else str(annotation)


def _default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined:
        return "*required*"
    if isinstance(info.default, Section) or info.default is None or info.default in ({}, ()):
        return "–"
    return f"`{_written(info.default, _type(info))}`"


def _written(value: object, kind: str) -> str:
    """Write a value as it would stand in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and "duration" in kind:
        return f'"{format_duration(value)}"'
    if isinstance(value, int) and kind == "size":
        return f'"{format_size(value)}"'
    if isinstance(value, bytes):
        return f'"{value.decode()}"'
    if isinstance(value, frozenset | tuple):
        items = sorted(value) if isinstance(value, frozenset) else value
        return "[" + ", ".join(_written(item, kind) for item in items) + "]"
    if isinstance(value, QueryPolicy):
        return f'"{value.mode}"'
    return f'"{value}"' if isinstance(value, str) else str(value)


def _presets() -> str:
    head = "| key | " + " | ".join(f"`{kind}`" for kind in PRESETS) + " |"
    rows = [head, "|---|" + "---|" * len(PRESETS)]
    for name, info in PolicyOptions.model_fields.items():
        values = [getattr(options, name) for options in PRESETS.values()]
        shown = ["–" if v is None else f"`{_written(v, _type(info))}`" for v in values]
        rows.append(f"| `{name}` | " + " | ".join(shown) + " |")
    return "\n".join(["### Kinds of policies and their defaults", "", *rows])


if __name__ == "__main__":
    manual = Path(sys.argv[1])
    manual.write_text(replace(manual.read_text()))
