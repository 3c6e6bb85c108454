"""What the operator's rule says about caching, as far as the cache decides.

A value only; `config` compiles rules into it. Which of origin and operator wins is written at
`freshness.freshness_of` and `storing.may_store`.
"""

from dataclasses import dataclass

HEURISTIC_FRACTION = 0.1
"""Share of Date - Last-Modified taken as lifetime: the "typical" one of RFC 9111 section 4.2.2."""

HEURISTIC_SECONDS_MAX = 86400
"""A guess is never trusted for more than a day."""

ERROR_SECONDS_MAX = 60
"""Cap on the lifetime of a stored error, whatever its origin says: our choice, so that one bad
answer that an attacker provoked does not last (cache-poisoned denial of service)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """The slice of a rule that storing, freshness and reuse read. Seconds and bytes.

    `edge_lifetime` replaces every lifetime that the origin states; `default_lifetime` serves where
    it states none. `negative_lifetime` caps what 404 and 410 get and is their lifetime under
    `edge_lifetime`; 0 means: not stored under `edge_lifetime`, plain RFC 9111 without. The
    windows `stale_while_revalidate` and `stale_if_error` serve where the origin states none; None
    means no operator's window. `may_store` False is a rule of kind `pass`.
    `honours_request_directives` lets Cache-Control of a request force a forward: right for a
    transparent cache; under a rule it would let any browser's reload reach the origin.
    """

    edge_lifetime: int | None = None
    default_lifetime: int | None = None
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None
    may_store: bool = True
    store_set_cookie: bool = False
    honours_request_directives: bool = True
    negative_lifetime: int = 0
    body_bytes_max: int = 64 * 1024 * 1024


TRANSPARENT = CachePolicy()
"""A plain shared cache of RFC 9111: no lifetime but the origin's, or the heuristic one of section
4.2.2: a tenth of the time since Last-Modified, at most a day."""
