"""Where each key of a TOML text stands: from a path of keys and indexes to a line.

The standard library parses TOML but forgets positions. This walks a text that `tomllib` has already
accepted, so it checks no grammar (TOML 1.0.0) and only has to know where things end. It must never
be the reason that a configuration is refused.

Invariant: for every key and array element of the parsed value there is a line, the one on which
its key (an element: its value) begins.
"""

import contextlib
import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator

Loc = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\r\n]+")
_STRINGS = (
    # The closing quotes of a multi-line string may follow up to two of the string's own.
    re.compile(r'"""(?:\\.|[^\\])*?"""(?:"{0,2})', re.DOTALL),
    re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL),
    re.compile(r'"(?:\\.|[^"\\])*"'),
    re.compile(r"'[^']*'"),
)


class Lines:
    """The lines of one TOML text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._lines: dict[Loc, int] = {}
        self._counts: dict[Loc, int] = {}
        self._position = 0
        with contextlib.suppress(LookupError):  # where the walk is lost, the lines before it stay
            self._walk()

    def line(self, loc: Loc) -> int:
        """Return the 1-based line of `loc`, or of the nearest thing around it that has one."""
        while loc:
            if loc in self._lines:
                return self._lines[loc]
            loc = loc[:-1]
        return 1

    def __contains__(self, loc: Loc) -> bool:
        return loc in self._lines

    def _walk(self) -> None:
        table: Loc = ()
        self._skip_blank()
        while self._position < len(self._text):
            if self._text.startswith("[", self._position):
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()

    def _header(self) -> Loc:
        start = self._position
        is_array = self._text.startswith("[[", start)
        self._position += 2 if is_array else 1
        parts = list(self._key())
        self._position += 2 if is_array else 1
        loc: Loc = ()
        for index, part in enumerate(parts):
            loc += (part,)
            if is_array and index == len(parts) - 1:
                self._record(loc, start)
                self._counts[loc] = self._counts.get(loc, 0) + 1
            if loc in self._counts:
                loc += (self._counts[loc] - 1,)
            self._record(loc, start)
        return loc

    def _pair(self, table: Loc) -> None:
        loc = table
        start = self._position
        for part in self._key():
            loc += (part,)
            self._record(loc, start)
        self._position += 1  # the equals sign
        self._value(loc)

    def _key(self) -> Iterator[str]:
        """Read dotted parts up to and excluding what ends the key."""
        while True:
            self._skip_blank()
            if self._text[self._position] in "\"'":
                raw = self._string()
                yield next(iter(tomllib.loads(f"{raw} = 0")))
            else:
                yield self._take(_BARE)
            self._skip_blank()
            if self._text[self._position] != ".":
                return
            self._position += 1

    def _value(self, loc: Loc) -> None:
        self._skip_blank()
        match self._text[self._position]:
            case "[":
                self._array(loc)
            case "{":
                self._inline_table(loc)
            case '"' | "'":
                self._string()
            case _:
                self._take(_SCALAR)

    def _array(self, loc: Loc) -> None:
        index = 0
        while not self._closes("]"):
            self._record((*loc, index), self._position)
            self._value((*loc, index))
            index += 1

    def _inline_table(self, loc: Loc) -> None:
        while not self._closes("}"):
            self._pair(loc)

    def _closes(self, bracket: str) -> bool:
        """Step over the opening bracket or a comma; tell whether the closing one was next."""
        self._skip_blank()
        if self._text[self._position] != bracket:
            self._position += 1
            self._skip_blank()
        if self._text[self._position] == bracket:
            self._position += 1
            return True
        return False

    def _string(self) -> str:
        for pattern in _STRINGS:
            match = pattern.match(self._text, self._position)
            if match is not None:
                self._position = match.end()
                return match[0]
        raise LookupError(self._position)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._position)
        if match is None:
            raise LookupError(self._position)
        self._position = match.end()
        return match[0]

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._position)
        if match is not None:
            self._position = match.end()

    def _record(self, loc: Loc, position: int) -> None:
        self._lines.setdefault(loc, bisect_right(self._starts, position))
