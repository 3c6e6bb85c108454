"""Whether one path pattern leaves anything to another, for finding rules that are never reached.

Pure, and sound but not complete: True is a proof that every path of the later pattern is one of the
earlier; False means that nobody proved it. A pattern is read as a word over its own pieces, and
the earlier one has to match that word: `*` swallows any pieces, `**` any segments, everything else
only what is the same or narrower.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice, product

from edgeproxy.edge.patterns import PathPattern, Segment, Token

Symbol = str | Token
"""One byte of literal text, or a piece that stands for many texts."""

# `{a,b}` multiplies; beyond this a pattern counts as not proven.
_SPELLINGS_MAX = 128


def covers(earlier: PathPattern, later: PathPattern) -> bool:
    """Tell whether every path that `later` matches is certainly matched by `earlier`."""
    return _segments_cover(earlier.segments, later.segments)


def is_covered(earlier: Sequence[PathPattern], later: PathPattern) -> bool:
    """Tell whether the earlier patterns together leave nothing to `later`.

    `{js,css}` is covered by two rules, one for each.
    """
    spellings = _spelled_out(later.segments)
    return all(
        any(_segments_cover(pattern.segments, segments) for pattern in earlier)
        for segments in spellings
    )


def _spelled_out(segments: tuple[Segment, ...]) -> list[tuple[Segment, ...]]:
    """Return the same paths as patterns without alternatives, or the pattern itself if too many."""
    choices = [
        [None] if segment is None else [tuple(word) for word in _token_words(segment)]
        for segment in segments
    ]
    found = list(islice(product(*choices), _SPELLINGS_MAX + 1))
    return [segments] if len(found) > _SPELLINGS_MAX else found


def _token_words(segment: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    choices = [
        [Token("literal", (text,)) for text in token.texts] if token.texts else [token]
        for token in segment
    ]
    return list(islice(product(*choices), _SPELLINGS_MAX + 1))


@lru_cache(maxsize=4096)
def _segments_cover(earlier: tuple[Segment, ...], later: tuple[Segment, ...]) -> bool:
    if not earlier:
        return not later
    head = earlier[0]
    if head is None:
        return any(_segments_cover(earlier[1:], later[at:]) for at in range(len(later) + 1))
    if not later or later[0] is None:
        return False
    return _segment_covers(head, later[0]) and _segments_cover(earlier[1:], later[1:])


def _segment_covers(earlier: tuple[Token, ...], later: tuple[Token, ...]) -> bool:
    if [token.kind for token in earlier] == ["star"]:
        return True
    words = _token_words(later)
    if len(words) > _SPELLINGS_MAX:
        return earlier == later
    alternatives = _token_words(earlier)
    regex = b"".join(token.regex for token in earlier)
    return all(
        (_is_text(word) and re.fullmatch(regex, _text(word)) is not None)
        or any(_word_covers(_symbols(each), _symbols(word)) for each in alternatives)
        for word in words
    )


def _is_text(word: tuple[Token, ...]) -> bool:
    return all(token.kind == "literal" for token in word)


def _text(word: tuple[Token, ...]) -> bytes:
    return "".join(token.texts[0] for token in word).encode()


def _symbols(word: tuple[Token, ...]) -> tuple[Symbol, ...]:
    return tuple(
        symbol
        for token in word
        for symbol in (token.texts[0] if token.kind == "literal" else (token,))
    )


@lru_cache(maxsize=4096)
def _word_covers(earlier: tuple[Symbol, ...], later: tuple[Symbol, ...]) -> bool:
    if not earlier:
        return not later
    head, rest = earlier[0], earlier[1:]
    if isinstance(head, Token) and head.kind == "star":
        return any(_word_covers(rest, later[at:]) for at in range(len(later) + 1))
    return bool(later) and _symbol_covers(head, later[0]) and _word_covers(rest, later[1:])


def _symbol_covers(earlier: Symbol, later: Symbol) -> bool:
    if isinstance(earlier, str) or isinstance(later, str):
        return earlier == later
    if earlier.kind == "hash":
        return later.kind == "hash" and earlier.least <= later.least and earlier.most >= later.most
    return earlier == later
