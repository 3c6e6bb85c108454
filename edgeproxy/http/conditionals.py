"""Preconditions and entity tags (RFC 9110 sections 8.8.3 and 13).

Evaluates the conditional fields of a request against the validators of a selected representation;
does not know where that representation comes from and answers nothing itself.
"""

import re
from collections.abc import Iterable
from enum import Enum

from edgeproxy.http.dates import parse_date
from edgeproxy.http.messages import Field

_ENTITY_TAG = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"')
_SEPARATORS = re.compile(rb"[ \t,]*+")
_CONDITIONS = frozenset(
    {b"if-match", b"if-unmodified-since", b"if-none-match", b"if-modified-since"}
)
_STRONG_DATE_SECONDS = 1


class Precondition(Enum):
    """What the conditional fields of a request ask for."""

    PASS = "pass"  # noqa: S105 -- a verdict, not a secret
    NOT_MODIFIED = "not-modified"
    FAILED = "failed"


def etag_strong_equal(left: bytes, right: bytes) -> bool:
    """Compare two entity tags strongly (RFC 9110 section 8.8.3.2): equal, and neither weak."""
    return left == right and not left.startswith(b"W/")


def etag_weak_equal(left: bytes, right: bytes) -> bool:
    """Compare two entity tags weakly: equal but for the weakness mark."""
    return left.removeprefix(b"W/") == right.removeprefix(b"W/")


def evaluate(
    method: bytes,
    request_fields: Iterable[Field],
    *,
    etag: bytes | None,
    last_modified: bytes | None,
    date: bytes | None,
) -> Precondition:
    """Evaluate the preconditions in the order of RFC 9110 section 13.2.2.

    To be asked only where the answer would otherwise be 2xx (section 13.2.1). Without
    `last_modified`, If-Modified-Since is compared with `date` (RFC 9111 section 4.3.2), which also
    settles the century of a year of two digits (RFC 9110 section 5.6.7). A cache may
    leave If-Match and If-Unmodified-Since to the origin (RFC 9110 section 13.1.1): then it forwards
    what FAILED instead of answering 412.
    """
    conditions = _conditions(request_fields)
    if not conditions:
        return Precondition.PASS
    if _is_changed(conditions, etag, last_modified, date):
        return Precondition.FAILED
    if (tags := conditions.get(b"if-none-match")) is not None:
        if not _tags_match(tags, etag, is_strong=False):
            return Precondition.PASS
        return Precondition.NOT_MODIFIED if _is_read(method) else Precondition.FAILED
    since = conditions.get(b"if-modified-since")
    if since is None or not _is_read(method):
        return Precondition.PASS
    if _is_unmodified(since, last_modified or date, date):
        return Precondition.NOT_MODIFIED
    return Precondition.PASS


def if_range_holds(
    request_fields: Iterable[Field],
    *,
    etag: bytes | None,
    last_modified: bytes | None,
    date: bytes | None,
) -> bool:
    """Tell whether Range may be applied: no If-Range, or one that matches strongly.

    A date must be exactly Last-Modified, and that must be a strong validator: at least a second
    older than Date (RFC 9110 sections 13.1.5 and 8.8.2.2).
    """
    values = [value for name, value in request_fields if name == b"if-range"]
    if not values:
        return True
    value = values[0]
    if len(values) > 1:
        return False
    if value.endswith(b'"'):
        return etag is not None and etag_strong_equal(value, etag)
    return value == last_modified and is_strong_date(value, date)


def is_strong_date(last_modified: bytes, date: bytes | None) -> bool:
    """Tell whether Last-Modified is a strong validator: a second older than Date (8.8.2.2)."""
    modified = parse_date(last_modified)
    sent = None if date is None else parse_date(date)
    return modified is not None and sent is not None and sent - modified >= _STRONG_DATE_SECONDS


def is_strong_etag(etag: bytes) -> bool:
    """Tell whether this is one strong entity tag."""
    return not etag.startswith(b"W/") and _ENTITY_TAG.fullmatch(etag) is not None


def _conditions(request_fields: Iterable[Field]) -> dict[bytes, bytes]:
    # One pass over the fields of a hit that mostly has none of these.
    conditions: dict[bytes, bytes] = {}
    for name, value in request_fields:
        if name in _CONDITIONS:
            earlier = conditions.get(name)
            conditions[name] = value if earlier is None else earlier + b", " + value
    return conditions


def _is_changed(
    conditions: dict[bytes, bytes],
    etag: bytes | None,
    last_modified: bytes | None,
    date: bytes | None,
) -> bool:
    if (tags := conditions.get(b"if-match")) is not None:
        return not _tags_match(tags, etag, is_strong=True)
    since = conditions.get(b"if-unmodified-since")
    if since is None or last_modified is None or parse_date(since) is None:
        return False
    return not _is_unmodified(since, last_modified, date)


def _tags_match(tags: bytes, etag: bytes | None, *, is_strong: bool) -> bool:
    if tags == b"*":
        return True
    if etag is None:
        return False
    equal = etag_strong_equal if is_strong else etag_weak_equal
    # The whole value first: the usual case, and the only one for tags without their quotes.
    return equal(tags, etag) or any(equal(tag, etag) for tag in _entity_tags(tags))


def _entity_tags(value: bytes) -> list[bytes]:
    """Return the members of a list of entity tags; none at all if any part of it is broken."""
    tags: list[bytes] = []
    position = _skip_separators(value, 0)
    while position < len(value):
        match = _ENTITY_TAG.match(value, position)
        if match is None:
            return []
        tags.append(match[0])
        position = _skip_separators(value, match.end())
    return tags


def _skip_separators(value: bytes, position: int) -> int:
    match = _SEPARATORS.match(value, position)
    return match.end() if match else position


def _is_read(method: bytes) -> bool:
    return method in {b"GET", b"HEAD"}


def _is_unmodified(since: bytes, last_modified: bytes | None, date: bytes | None) -> bool:
    """Tell whether the modification is not later; a list or an invalid date tells nothing."""
    if since == last_modified:
        return True
    sent = None if date is None else parse_date(date)
    condition = parse_date(since, now=sent)
    modified = None if last_modified is None else parse_date(last_modified, now=sent)
    return condition is not None and modified is not None and modified <= condition
