"""One response as it can be delivered: fields that are final but for the live ones, and validators.

Holds no content and knows no request. Its sections are made on first use and then shared by every
delivery, so that listeners encode them once. RFC 9110 sections 8.8, 15.3.7 and 15.4.5.
"""

from collections.abc import Iterable

from edgeproxy.http.messages import Field, FieldSection, first
from edgeproxy.http.ranges import ByteRange

# A 304 tells nothing of the content it does not carry (RFC 9110 section 15.4.5).
_ABOUT_CONTENT = frozenset(
    {
        b"accept-ranges",
        b"content-digest",
        b"content-encoding",
        b"content-language",
        b"content-range",
        b"content-type",
        b"repr-digest",
    }
)


class Representation:
    """A status, its static fields without Content-Length, its validators and its length."""

    __slots__ = (
        "_bare",
        "_cut",
        "_whole",
        "age",
        "cache_status",
        "date",
        "etag",
        "fields",
        "is_final",
        "last_modified",
        "length",
        "status",
    )

    def __init__(
        self,
        status: int,
        fields: Iterable[Field],
        *,
        length: int | None,
        cache_status: bytes = b"",
        age: int | None = None,
        is_final: bool = True,
    ) -> None:
        self.status = status
        self.fields = tuple(fields)
        self.length = length
        # How old it was on arrival, if a cache nearer to the origin said so.
        self.age = age
        # Whether these bytes stay, or a better coding of them is to come under the same tag.
        self.is_final = is_final
        # What caches nearer to the origin said; ours goes behind it (RFC 9211 section 2).
        self.cache_status = cache_status
        self.etag = first(self.fields, b"etag")
        self.last_modified = first(self.fields, b"last-modified")
        self.date = first(self.fields, b"date")
        self._whole: FieldSection | None = None
        self._bare: FieldSection | None = None
        self._cut: FieldSection | None = None

    @property
    def whole(self) -> FieldSection:
        """The fields of the response itself, for GET and HEAD."""
        section = self._whole
        if section is None:
            fields = list(self.fields)
            if self.length is not None:
                fields.append((b"content-length", b"%d" % self.length))
            section = self._whole = FieldSection(fields)
        return section

    @property
    def bare(self) -> FieldSection:
        """The fields of a 304."""
        section = self._bare
        if section is None:
            # Last-Modified guides a cache only where there is no entity tag to do it.
            dropped = _ABOUT_CONTENT | ({b"last-modified"} if self.etag is not None else set())
            section = self._bare = FieldSection(
                line for line in self.fields if line[0] not in dropped
            )
        return section

    def part(self, cut: ByteRange, length: int) -> tuple[FieldSection, FieldSection]:
        """Return the fields of a 206: those of every part, and those of this one."""
        section = self._cut
        if section is None:
            section = self._cut = FieldSection(
                line for line in self.fields if line[0] != b"content-digest"
            )
        return section, FieldSection(
            [
                (b"content-length", b"%d" % len(cut)),
                (b"content-range", cut.content_range(length)),
            ]
        )
