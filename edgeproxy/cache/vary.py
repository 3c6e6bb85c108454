"""Secondary keys: which requests a stored response was selected by (RFC 9111 section 4.1)."""

from collections.abc import Iterable

from edgeproxy.cache.stored import StoredResponse, Vary
from edgeproxy.http.messages import Field


def nominated(fields: Iterable[Field]) -> tuple[bytes, ...] | None:
    """Return the lower-case names that Vary nominates; None if nothing can ever match.

    That is a `*` anywhere, a member that is no field name, or more names than any sane origin has.
    """
    raise NotImplementedError


def selecting_values(names: tuple[bytes, ...], request_fields: Iterable[Field]) -> Vary:
    """Return the nominated fields of a request, normalised; None stands for an absent field."""
    raise NotImplementedError


def matches(stored: StoredResponse, request_fields: Iterable[Field]) -> bool:
    """Tell whether a request selects this variant."""
    raise NotImplementedError
