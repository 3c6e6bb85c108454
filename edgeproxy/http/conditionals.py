"""Preconditions and entity tags (RFC 9110 sections 8.8.3 and 13).

Evaluates the conditional fields of a request against the validators of a selected representation;
does not know where that representation comes from and answers nothing itself.
"""

from collections.abc import Iterable
from enum import Enum

from edgeproxy.http.messages import Field


class Precondition(Enum):
    """What the conditional fields of a request ask for."""

    PASS = "pass"  # noqa: S105 -- a verdict, not a secret
    NOT_MODIFIED = "not-modified"
    FAILED = "failed"


def etag_strong_equal(left: bytes, right: bytes) -> bool:
    """Compare two entity tags strongly (RFC 9110 section 8.8.3.2): equal, and neither weak."""
    raise NotImplementedError


def etag_weak_equal(left: bytes, right: bytes) -> bool:
    """Compare two entity tags weakly: equal but for the weakness mark."""
    raise NotImplementedError


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
    `last_modified`, If-Modified-Since is compared with `date` (RFC 9111 section 4.3.2).
    """
    raise NotImplementedError


def if_range_holds(
    request_fields: Iterable[Field],
    *,
    etag: bytes | None,
    last_modified: bytes | None,
    date: bytes | None,
) -> bool:
    """Tell whether Range may be applied: no If-Range, or one that matches strongly."""
    raise NotImplementedError
