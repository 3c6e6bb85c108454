"""Path patterns: how a rule says which paths it is about.

A pattern is matched against the raw bytes of the path as received (RFC 9110 section 7.1), without
its query; nothing is decoded or normalised here, because the path that is matched must be the path
that is keyed and forwarded. The grammar, segment by segment::

    literal        itself, case-sensitive
    *              any bytes within one segment, also none
    **             alone in a segment: any number of segments; at the end at least one, maybe empty
    {js,css}       one of these literals
    {semver}       a semantic version, `2.1.0`, `2.1.0-rc.1`, `2.1.0+build.7`
    {hash:8+}      a whole run of at least 8 (`{hash:8}`: exactly 8) ASCII letters and digits with
                   a digit among them, so that a word like `dashboard` is no content hash

Invariants: an ambiguous path is matched by no pattern; matching takes time linear in the path for
every pattern that `compile_pattern` accepts (no pattern backtracks over two wildcards at once).
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from edgeproxy.edge.ambiguity import is_ambiguous

# The bounds keep a path of nothing but versions from costing the square of its length; published
# versions stay within them (`-pr.123.sha.1f0e3dad`, `+sha.` and 40 hexadecimal digits).
_SEMVER = (
    rb"(?<![0-9.])(?:0|[1-9][0-9]{0,8})\.(?:0|[1-9][0-9]{0,8})\.(?:0|[1-9][0-9]{0,8})(?![0-9])"
    rb"(?:-[0-9A-Za-z-]{1,20}(?:\.[0-9A-Za-z-]{1,20}){0,3})?"
    rb"(?:\+[0-9A-Za-z-]{1,40}(?:\.[0-9A-Za-z-]{1,40}){0,2})?"
)
_HASH_LENGTH_MAX = 128  # hexadecimal SHA-512
_PATTERN_LENGTH_MAX = 512
_TOKEN = re.compile(r"\*|\{(?P<braces>[^{}]*)\}|(?P<literal>[^*{}]+)")
_HASH = re.compile(r"hash:([1-9][0-9]{0,2})(\+?)")
# Visible ASCII but for what a path cannot hold raw (`?`, `#`) or what makes it ambiguous.
_LITERAL = re.compile(r"[!$&'()+,\-.0-9:=@A-Z_a-z~%\"<>^`|]*")

Kind = Literal["literal", "star", "semver", "hash"]


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a segment; `texts` are a literal's alternatives, the numbers a hash's length."""

    kind: Kind
    texts: tuple[str, ...] = ()
    least: int = 0
    most: int = 0

    @property
    def regex(self) -> bytes:
        """The expression that matches this piece."""
        if self.kind == "star":
            return b"[^/]*"
        if self.kind == "semver":
            return _SEMVER
        if self.kind == "hash":
            run = b"[0-9A-Za-z]{%d,%d}" % (self.least, self.most)
            return b"(?<![0-9A-Za-z])(?=[A-Za-z]{0,127}[0-9])" + run + b"(?![0-9A-Za-z])"
        escaped = [re.escape(text.encode()) for text in self.texts]
        return escaped[0] if len(escaped) == 1 else b"(?:" + b"|".join(escaped) + b")"


Segment = tuple[Token, ...] | None
"""One path segment; None is `**`, any number of segments, also none."""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A compiled pattern; make one with `compile_pattern`."""

    source: str
    segments: tuple[Segment, ...] = field(repr=False, compare=False)
    regex: bytes = field(repr=False, compare=False)
    _compiled: re.Pattern[bytes] = field(repr=False, compare=False)

    def matches(self, path: bytes) -> bool:
        """Tell whether the raw path, without its query, is one of this pattern's."""
        return self._compiled.fullmatch(path) is not None and not is_ambiguous(path)


def compile_pattern(source: str) -> PathPattern:
    """Compile one pattern.

    Raises:
        ValueError: with a sentence for the operator.
    """
    if not source.startswith("/"):
        raise ValueError(f"a path pattern starts with '/', not {source!r}")
    if len(source) > _PATTERN_LENGTH_MAX:
        raise ValueError(f"a path pattern has at most {_PATTERN_LENGTH_MAX} characters")
    segments: list[Segment] = [
        None if text == "**" else _segment(text, source) for text in source[1:].split("/")
    ]
    if any(a is None and b is None for a, b in pairwise(segments)):
        raise ValueError(f"'**' follows '**' in {source!r}: one says the same")
    if () in segments[:-1] or {".", ".."} & set(source.split("/")):
        raise ValueError(f"{source!r} names an ambiguous path, which no pattern matches")
    if segments[-1] is None:  # the slash before it is there, so a segment is
        segments.append((Token("star"),))
    regex = _path_regex(segments)
    return PathPattern(source, tuple(segments), regex, re.compile(regex, re.DOTALL))


def _segment(text: str, source: str) -> tuple[Token, ...]:
    if "**" in text:
        raise ValueError(f"'**' stands alone between slashes, unlike in {source!r}")
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unbalanced braces in {source!r}")
        tokens.append(_token(match, source))
        position = match.end()
    _refuse_backtracking(tokens, source)
    return tuple(tokens)


def _token(match: re.Match[str], source: str) -> Token:
    if match[0] == "*":
        return Token("star")
    if match["braces"] is None:
        return Token("literal", (_literal(match[0], source),))
    inner = match["braces"]
    if inner == "semver":
        return Token("semver")
    if hash_match := _HASH.fullmatch(inner):
        least = int(hash_match[1])
        if least > _HASH_LENGTH_MAX:
            raise ValueError(f"a content hash has at most {_HASH_LENGTH_MAX} characters")
        return Token("hash", (), least, _HASH_LENGTH_MAX if hash_match[2] else least)
    if "," in inner:
        return Token("literal", tuple(_literal(part, source) for part in inner.split(",")))
    raise ValueError(
        f"{{{inner}}} in {source!r} is none of {{semver}}, {{hash:8+}}, {{hash:8}}, {{a,b}}"
    )


def _literal(text: str, source: str) -> str:
    if not _LITERAL.fullmatch(text):
        raise ValueError(f"{source!r} holds a character that cannot stand in a path pattern")
    if text and is_ambiguous(b"/x" + text.encode() + b"x"):
        raise ValueError(f"{source!r} names an ambiguous path, which no pattern matches")
    return text


def _refuse_backtracking(tokens: list[Token], source: str) -> None:
    """Keep matching linear: between two stars only one fixed text can be searched greedily."""
    stars = [index for index, token in enumerate(tokens) if token.kind == "star"]
    for left, right in pairwise(stars):
        between = tokens[left + 1 : right]
        if len(between) != 1 or len(between[0].texts) != 1:
            raise ValueError(f"between two '*' of a segment stands literal text only: {source!r}")


def _path_regex(segments: list[Segment]) -> bytes:
    """Join the segments; all `**` but the last are atomic, which is exact.

    What stands between two `**` spans a fixed number of segments, so its first place from the left
    leaves the most to the rest: going back for a later one can never help.
    """
    groups: list[list[bytes]] = [[]]
    for segment in segments:
        if segment is None:
            groups.append([])
        else:
            groups[-1].append(_segment_regex(segment))
    first, *middles = groups
    regex = b"/" + b"".join(part + b"/" for part in first)
    if not middles:
        return regex[:-1]
    *middles, last = middles
    for middle in middles:
        regex += b"(?>(?:.*?/)??" + b"".join(part + b"/" for part in middle) + b")"
    return regex + b"(?:.*/)?" + b"/".join(last)


def _segment_regex(tokens: tuple[Token, ...]) -> bytes:
    """Join the pieces; a star with another after it is atomic up to its literal (see above)."""
    stars = sum(token.kind == "star" for token in tokens)
    parts: list[bytes] = []
    pending = b""
    for token in tokens:
        if token.kind == "star" and stars > 1:
            stars -= 1
            parts.append(pending)
            pending = b"(?>[^/]*?"
        elif token.kind == "star":
            parts.append(pending)
            pending = token.regex
        else:
            pending += token.regex + (b")" if pending.startswith(b"(?>") else b"")
    return b"".join(parts) + pending
