"""What is left of a configuration when its faulty parts are cut out.

Some checks need a whole configuration (references, reachability); one misspelt key must not hide
what they would find, because an operator wants all problems at once. What is cut here was already
reported by `problems`; nothing that is salvaged is ever run.
"""

import copy
from typing import Any

from pydantic import ValidationError

from edgeproxy.config.document import Document, nearest
from edgeproxy.config.locate import Loc
from edgeproxy.config.problems import is_only_of_items, names_at, real_loc
from edgeproxy.config.schema import Config

# Each round cuts at least one value; beyond this the file is so wrong that the rest can wait.
_ROUNDS_MAX = 50


class Salvage:
    """A document without its faults; `config` is None when nothing usable is left."""

    def __init__(self, document: Document) -> None:
        self._raw = copy.deepcopy(document.raw)
        self._indexes: dict[int, list[int]] = {}  # by id of a list: where its items stood
        self._context = {"base": document.base}
        self.config = self._validate()

    def original(self, loc: Loc) -> Loc:
        """Translate a path of the salvaged configuration into one of the document."""
        real: list[str | int] = []
        here: Any = self._raw
        for part in loc:
            if isinstance(here, list) and isinstance(part, int):
                real.append(self._indexes.get(id(here), range(len(here)))[part])
                here = here[part]
            else:
                real.append(part)
                here = here.get(part) if isinstance(here, dict) else None
        return tuple(real)

    def _validate(self) -> Config | None:
        for _ in range(_ROUNDS_MAX):
            try:
                return Config.model_validate(self._raw, context=self._context)
            except ValidationError as error:
                if not self._cut([(real_loc(e, self._raw), e["type"]) for e in error.errors()]):
                    return None
        return None

    def _cut(self, faults: list[tuple[Loc, str]]) -> bool:
        """Remove every faulty value, or its table where a key is missing."""
        missing = {loc for loc, kind in faults if kind == "missing"}
        doomed: set[Loc] = set()
        everywhere = [loc for loc, _ in faults]
        for loc, kind in faults:
            if is_only_of_items(loc, kind, everywhere):
                continue
            if kind == "extra_forbidden":
                meant = (*loc[:-1], nearest(loc[-1], names_at(loc[:-1])))
                if meant in missing:
                    self._rename(loc, meant[-1])
                    return True
            doomed.add(loc[:-1] if kind == "missing" else loc)
        if () in doomed:
            return self._fill(missing)
        # From the back, so that the indexes of what is still to go stay true.
        for loc in sorted(doomed, key=_from_the_back):
            if not any(loc[:size] in doomed for size in range(1, len(loc))):
                self._remove(loc)
        return True

    def _fill(self, missing: set[Loc]) -> bool:
        """Stand in for a missing table of the whole, which cannot be cut away."""
        fillers = {"config_version": 1, "listen": {"https": "127.0.0.1:0"}}
        filled = [str(loc[0]) for loc in missing if len(loc) == 1 and loc[0] in fillers]
        self._raw.update({name: fillers[name] for name in filled})
        return bool(filled)

    def _parent(self, loc: Loc) -> Any:  # noqa: ANN401 - whatever TOML holds
        here: Any = self._raw
        for part in loc[:-1]:
            here = here[part]
        return here

    def _rename(self, loc: Loc, name: str | int) -> None:
        parent = self._parent(loc)
        parent[name] = parent.pop(loc[-1])

    def _remove(self, loc: Loc) -> None:
        parent, last = self._parent(loc), loc[-1]
        if isinstance(parent, list) and isinstance(last, int):
            self._indexes.setdefault(id(parent), list(range(len(parent)))).pop(last)
            parent.pop(last)
        else:
            parent.pop(last, None)


def _from_the_back(loc: Loc) -> tuple[tuple[int, str], ...]:
    return tuple((-part, "") if isinstance(part, int) else (0, part) for part in loc)
