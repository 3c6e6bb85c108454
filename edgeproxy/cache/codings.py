"""In which content codings a response can be had, and how its fields read in each of them.

Decides; codes nothing and negotiates nothing (`http/codings`). A response is kept in the coding
that it came in, its *own*; every other coding is *derived* of it, identity included, and a coding
is never laid over another one. RFC 9110 sections 8.4, 8.8.3.3 and 12.5.3, RFC 9111 section 5.2.2.6,
RFC 9530 section 2.

Invariants: the bytes behind a strong entity tag never change, so a derived body that a better one
will replace has a weak tag; what says `no-transform` is had in its own coding or not at all.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edgeproxy.cache.stored import DerivedBody, LargeBody, StoredResponse
from edgeproxy.cache.targeted import ruling_directives
from edgeproxy.http.codings import IDENTITY, coding_of, is_compressible, negotiate
from edgeproxy.http.directives import parse_cache_control
from edgeproxy.http.messages import Field, Fields, first

COMPRESSED_BYTES_MIN = 512
"""Below this a coding saves next to nothing: content and fields fit into one packet anyway."""

# They speak of bytes that are not sent any more (RFC 9530 section 2; Content-MD5 was RFC 1864).
_OF_THE_OWN_BYTES = frozenset(
    {b"content-digest", b"content-md5", b"digest", b"repr-digest", b"content-encoding", b"etag"}
)


@dataclass(frozen=True, slots=True)
class Offer:
    """The codings that a response can be had in, in our order of preference, its own first."""

    own: bytes
    codings: tuple[bytes, ...]

    @property
    def is_negotiable(self) -> bool:
        """Whether the answer depends on Accept-Encoding."""
        return self.own != IDENTITY or len(self.codings) > 1

    @property
    def may_derive(self) -> bool:
        """Whether there is more than its own: then nothing else could be had of the origin."""
        return IDENTITY in self.codings

    def choose(self, accepted: bytes | None) -> bytes | None:
        """Return the coding for an Accept-Encoding value, None if nothing that we have will do.

        Without the field any coding would be acceptable (RFC 9110 section 12.5.3), but who sends
        none rarely decodes: it gets identity.
        """
        if not self.is_negotiable:
            return IDENTITY
        return negotiate(accepted or b"", self.codings)


def offer_of(
    status: int,
    fields: Iterable[Field],
    *,
    codings: Sequence[bytes],
    length: int | None,
    refused: Collection[bytes] = (),
) -> Offer:
    """Return what a rule that negotiates `codings` can offer of a response.

    `length` is that of the body as it came, None where it is not known yet; `refused` are codings
    that turned out not to be had, or not to be worth it.
    """
    lines = tuple(fields)
    own = coding_of(lines)
    if not codings or forbids_transformation(lines):
        return Offer(own, (own,))
    content_type = first(lines, b"content-type")
    is_worth_it = length is None or length >= COMPRESSED_BYTES_MIN
    others: list[bytes] = []
    if status == 200 and is_worth_it and is_compressible(content_type):
        others += codings
    offered = dict.fromkeys([own, *others, IDENTITY]) if own != IDENTITY else (*others, IDENTITY)
    return Offer(own, tuple(coding for coding in offered if coding == own or coding not in refused))


def forbids_transformation(fields: Iterable[Field]) -> bool:
    """Tell whether the origin says `no-transform`, to whatever cache."""
    lines = tuple(fields)
    directives, _ = ruling_directives(lines)
    general = parse_cache_control([value for name, value in lines if name == b"cache-control"])
    return directives.has(b"no-transform") or general.has(b"no-transform")


def fields_in(
    coding: bytes, fields: Iterable[Field], *, own: bytes, is_final: bool = True
) -> Fields:
    """Return the fields of a response, in `coding` instead of its own.

    Its entity tag gets the coding for a suffix, and is weak as long as the body is not final.
    """
    lines = tuple(fields)
    if coding == own:
        return lines
    kept = [line for line in lines if line[0] not in _OF_THE_OWN_BYTES]
    if coding != IDENTITY:
        kept.append((b"content-encoding", coding))
    etag = first(lines, b"etag")
    if etag is not None:
        kept.append((b"etag", etag_in(coding, etag, is_final=is_final)))
    return tuple(kept)


def etag_in(coding: bytes, etag: bytes, *, is_final: bool) -> bytes:
    """Return an entity tag for a derived coding (RFC 9110 section 8.8.3.3)."""
    is_weak = etag.startswith(b"W/") or not is_final
    opaque = etag.removeprefix(b"W/").removesuffix(b'"')
    return b'%s%s-%s"' % (b"W/" if is_weak else b"", opaque, coding)


def body_in(coding: bytes, stored: StoredResponse) -> DerivedBody | None:
    """Return the body in that coding, None as long as nobody has made it or memory lacks it."""
    if coding == stored.coding:
        body = stored.body
        return None if isinstance(body, LargeBody) else DerivedBody(body, is_final=True)
    return stored.derived.get(coding)


def refused_codings(derived: Mapping[bytes, DerivedBody | None]) -> frozenset[bytes]:
    """Return the codings that were tried in vain."""
    return frozenset(coding for coding, body in derived.items() if body is None)


def with_derived(stored: StoredResponse, coding: bytes, body: DerivedBody | None) -> StoredResponse:
    """Return `stored` with its body in one more coding; None: it is not to be had in that one."""
    return replace(stored, derived={**stored.derived, coding: body}, memo=None)
