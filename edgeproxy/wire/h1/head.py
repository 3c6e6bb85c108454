"""A request's head, from bytes to values (RFC 9112 sections 3 and 5).

`httptools` (llhttp) finds the fields; around it stand the checks of what it is lenient about or
does not see. It refuses methods that it does not know, though anybody may make new ones (RFC 9110
section 16.1), so it is told of another one in their place. It is only ever given a whole head that
the grammar has accepted, so the two cannot disagree, and never sees content: it does not tell where
in its input a message ended, and the bytes behind are a request that nobody has checked yet.
"""

import httptools

from edgeproxy.errors import DownstreamError
from edgeproxy.wire.h1.framing import Framing, framing_of
from edgeproxy.wire.h1.grammar import FORBIDDEN, HEAD, REQUEST_LINE
from edgeproxy.wire.h1.target import resolve
from edgeproxy.wire.limits import Limits

_METHOD_BYTES_MAX = 32  # the longest registered one, UPDATEREDIRECTREF, has 17
_METHODS = frozenset(
    (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT")
)
_LINE_OVERHEAD = _METHOD_BYTES_MAX + len(b"  HTTP/1.1")
_SPECIAL = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"))
_NONE: tuple[bytes, ...] = ()
_UNSEEN = frozenset((b"host", b"expect"))  # answered for here, not passed on as fields


class RequestHead:
    """A request without its content.

    `fields` have lower-case names and leave out Host (it is `authority`) and Expect (it is
    `expects_continue`). `is_last` means that the client sends nothing behind this request.
    """

    __slots__ = (
        "authority",
        "expects_continue",
        "fields",
        "framing",
        "is_last",
        "method",
        "target",
        "version",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        fields: list[tuple[bytes, bytes]],
        *,
        authority: bytes,
        version: bytes,
        framing: Framing,
    ) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.authority = authority
        self.version = version
        self.framing = framing
        self.is_last = version == b"1.0"
        self.expects_continue = False

    @property
    def has_content(self) -> bool:
        """Whether content follows the head."""
        return self.framing.is_chunked or bool(self.framing.content_length)


def check_sizes(head: bytes, limits: Limits) -> None:
    """Refuse a head, whole or begun, that is too large already.

    Raises:
        DownstreamError: 414, 431 or 501.
    """
    line = head.find(b"\r\n")
    if line < 0:
        if len(head) > _METHOD_BYTES_MAX and b" " not in head[: _METHOD_BYTES_MAX + 1]:
            raise DownstreamError(501, "method", close=True)
        line = len(head)
    if line > limits.target_bytes_max + _LINE_OVERHEAD:
        raise DownstreamError(414, "target-size", close=True)
    if len(head) - line > limits.field_section_bytes_max:
        raise DownstreamError(431, "fields-size", close=True)


def check_begun(head: bytes, limits: Limits, *, since: int = 0) -> None:
    """Refuse an unfinished head that can become none that we accept.

    What lies before `since`, but for its last octet, was found good already: a head that comes
    octet by octet must not cost its length squared.

    Raises:
        DownstreamError: 400, 414, 431 or 501.
    """
    check_sizes(head, limits)
    if FORBIDDEN.search(head, max(0, since - 1)):
        raise DownstreamError(400, "syntax", close=True)


class HeadParser:
    """Parses the heads of one connection, one whole head at a time."""

    def __init__(self, scheme: bytes, limits: Limits) -> None:
        self._scheme = scheme
        self._limits = limits
        self._fields: list[tuple[bytes, bytes]] = []
        self._special: dict[bytes, list[bytes]] = {}

    def parse(self, head: bytes) -> RequestHead:
        """Return the request that `head` is; it ends with its empty line.

        Raises:
            DownstreamError: The status to answer with; the connection must end.
        """
        check_sizes(head, self._limits)
        match = HEAD.fullmatch(head)
        if match is None:
            word = "field" if REQUEST_LINE.match(head) else "request-line"
            raise DownstreamError(400, word, close=True)
        method, target, version = match.groups()
        if version not in (b"1.1", b"1.0"):
            raise DownstreamError(505, "version", close=True)
        if len(method) > _METHOD_BYTES_MAX:
            raise DownstreamError(501, "method", close=True)
        if len(target) > self._limits.target_bytes_max:
            raise DownstreamError(414, "target-size", close=True)
        self._feed(head if method in _METHODS else b"POST" + head[len(method) :])
        if len(self._fields) > self._limits.fields_max:
            raise DownstreamError(431, "fields-count", close=True)
        return self._request(method, target, version)

    def _feed(self, head: bytes) -> None:
        """Let llhttp find the fields.

        Every head has a parser of its own, for a microsecond: llhttp carries its reading of
        Connection, Proxy-Connection, Upgrade and content over to what comes next.
        """
        self._fields, self._special = [], {}
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass  # we never do: RFC 9110 section 7.8 lets us ignore it, h2c must be ignored
        except httptools.HttpParserError:
            self._framing(b"1.1")  # may know better what was wrong with it
            raise DownstreamError(400, "syntax", close=True) from None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field line from llhttp, which leaves trailing whitespace to us."""
        name, value = name.lower(), value.strip(b" \t")
        if name in _SPECIAL:
            self._special.setdefault(name, []).append(value)
            if name in _UNSEEN:
                return
        self._fields.append((name, value))

    def _framing(self, version: bytes) -> Framing:
        lengths = self._special.get(b"content-length", _NONE)
        codings = self._special.get(b"transfer-encoding", _NONE)
        return framing_of(lengths, codings, version=version)

    def _request(self, method: bytes, target: bytes, version: bytes) -> RequestHead:
        hosts = self._special.get(b"host", _NONE)
        path, authority = resolve(method, target, hosts, scheme=self._scheme, version=version)
        request = RequestHead(
            method,
            path,
            self._fields,
            authority=authority,
            version=version,
            framing=self._framing(version),
        )
        request.is_last |= method == b"CONNECT"  # behind it might come what is meant for a tunnel
        if options := self._special.get(b"connection"):
            names = b",".join(options).lower().split(b",")
            request.is_last |= b"close" in [name.strip(b" \t") for name in names]
        if expectations := self._special.get(b"expect"):
            request.expects_continue = _expects_continue(request, expectations)
        return request


def _expects_continue(request: RequestHead, expectations: list[bytes]) -> bool:
    """Tell whether the client waits for 100; refuse other waits (RFC 9110 section 10.1.1)."""
    if request.version == b"1.0":
        return False
    if [value.lower() for value in expectations] != [b"100-continue"]:
        raise DownstreamError(417, "expectation", close=True)
    return request.has_content
