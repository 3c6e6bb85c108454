"""From a decoded field section to the parts of a request (RFC 9113 section 8, RFC 9114 section 4).

HTTP/2 and HTTP/3 have the same rules, so both read requests here; sections are cited of RFC 9113.
Checks the message, never its meaning: whether a method is allowed or a host is ours is the edge's
affair. A malformed section is `MalformedRequest` (section 8.1.1), and nothing of it goes any
further. Stricter than the RFCs in three ways, each against smuggling: no control characters in
values (RFC 9110 section 5.5 lets recipients choose), no second `content-length` or `host` even if
equal, nothing in trailers that frames or routes.

Most fields were seen before, often as the same objects, so those known to be well-formed cost one
look-up in a set. That is sound because the verdict depends on the field alone; what depends on more
(`_SPECIAL_NAMES`), and credentials, never enter a memo.
"""

import re
from itertools import filterfalse
from typing import Final, NamedTuple, TypeVar

from edgeproxy.errors import EdgeError

Field = tuple[bytes, bytes]
Known = TypeVar("Known")

# What a section over the limits is answered with (RFC 6585 section 5, RFC 9110 section 15.5.15).
FIELDS_TOO_LARGE: Final = 431
TARGET_TOO_LONG: Final = 414

_METHODS: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT", b"DELETE"})
_is_method: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_name: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_is_value: Final = re.compile(
    rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
).fullmatch
_is_origin_form: Final = re.compile(rb"/[\x21\x22\x24-\x7e]*").fullmatch
# uri-host and port of RFC 3986 without userinfo, which section 8.3.1 forbids.
_is_authority: Final = re.compile(
    rb"(?:[0-9A-Za-z\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?"
).fullmatch
# 18 digits are an exabyte, and fit every integer type on the way to an origin.
_is_length: Final = re.compile(rb"[0-9]{1,18}").fullmatch

_PSEUDO_NAMES: Final = frozenset({b":method", b":scheme", b":authority", b":path"})
_CONNECTION_NAMES: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_MESSAGE_NAMES: Final = frozenset({b"host", b"content-length"})
_CREDENTIALS: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
_SPECIAL_NAMES: Final = _CONNECTION_NAMES | _MESSAGE_NAMES | _CREDENTIALS | {b"priority"}
_NOT_IN_TRAILERS: Final = _CONNECTION_NAMES | _MESSAGE_NAMES
_DEFAULT_PORTS: Final = {b"https": b":443", b"http": b":80"}

# Bounded in number and size, some 3 MB each if filled on purpose.
_KNOWN_MAX: Final = 4096
_KNOWN_BYTES_MAX: Final = 512
_ordinary: Final[set[Field]] = set()
_is_ordinary: Final = _ordinary.__contains__
_targets: Final[set[bytes]] = set()
_authorities: Final[set[bytes]] = set()


class RequestHead(NamedTuple):
    """The parts of a well-formed request.

    `authority` is `:authority`, or Host without one; `target` is `:path`, or for CONNECT the
    authority. `fields` is a fresh list without pseudo-fields and Host, and with one `cookie` line
    at most (section 8.2.3). `priority_value` joins the lines of the Priority field.
    """

    method: bytes
    scheme: bytes
    authority: bytes
    target: bytes
    fields: list[Field]
    content_length: int | None
    priority_value: bytes | None


class _Special(NamedTuple):
    host: bytes | None = None
    content_length: int | None = None
    priority_value: bytes | None = None
    has_crumbs: bool = False


_NOTHING_SPECIAL: Final = _Special()

# What a section says whose only special field is this one: a browser's `priority`.
_alone: Final[dict[Field, _Special]] = {}


class MalformedRequest(EdgeError):  # noqa: N818 - a verdict on one message, like the faults
    """A field section that no request has; the message says what is wrong with it."""


def parse_request(fields: list[Field], scheme: bytes) -> RequestHead:
    """Check a field section and take it apart; `scheme` is the one of the connection.

    Raises:
        MalformedRequest: It is malformed.
    """
    given_scheme: bytes | None
    target: bytes | None
    authority: bytes | None
    head = dict(fields[:4])
    try:  # the four in front, in any order: what every browser sends
        method, given_scheme = head[b":method"], head[b":scheme"]
        target, authority = head[b":path"], head[b":authority"]
        regular = fields[4:]
    except KeyError:
        method, given_scheme, target, authority, regular = _collect(fields)
    verdict = _NOTHING_SPECIAL
    if special := list(filterfalse(_is_ordinary, regular)):
        verdict = (_alone.get(special[0]) if len(special) == 1 else None) or _examine(special)
    host, length, priority, has_crumbs = verdict
    if host is not None:
        regular = [field for field in regular if field[0] != b"host"]
        authority = _reconcile(authority, host, scheme)
    if has_crumbs:
        regular = _join_cookies(regular)
    if authority not in _authorities:
        authority = _check_authority(authority)
    if method not in _METHODS and not _is_method(method):
        raise MalformedRequest(":method")
    if method == b"CONNECT":
        if given_scheme is not None or target is not None:
            raise MalformedRequest("CONNECT with :scheme or :path")
        target = authority
    elif given_scheme != scheme:
        raise MalformedRequest(":scheme missing or not the connection's")
    elif target not in _targets:
        target = _check_target(target, method)
    return RequestHead(method, scheme, authority, target, regular, length, priority)


def parse_trailers(fields: list[Field]) -> list[Field]:
    """Check a trailer section and return its fields.

    Raises:
        MalformedRequest: It is malformed.
    """
    for field in fields:
        if field not in _ordinary:
            _check_regular(field)
            if field[0] in _NOT_IN_TRAILERS:
                raise MalformedRequest("field not allowed in trailers")
    return list(fields)


def _remember(known: set[Known], thing: Known, size: int) -> None:
    if size <= _KNOWN_BYTES_MAX:
        if len(known) >= _KNOWN_MAX:
            known.clear()
        known.add(thing)


def _collect(
    fields: list[Field],
) -> tuple[bytes, bytes | None, bytes | None, bytes | None, list[Field]]:
    """Take the pseudo-fields off the front, whichever there are (section 8.3)."""
    head: dict[bytes, bytes] = {}
    for name, value in fields:
        if name not in _PSEUDO_NAMES:
            break  # an unknown pseudo-field is found among the regular ones
        if name in head:
            raise MalformedRequest("repeated pseudo-field")
        head[name] = value
    method, authority = head.get(b":method"), head.get(b":authority")
    if method is None:
        raise MalformedRequest(":method missing")
    if method == b"CONNECT" and authority is None:
        raise MalformedRequest("CONNECT without :authority")
    return method, head.get(b":scheme"), head.get(b":path"), authority, fields[len(head) :]


def _examine(fields: list[Field]) -> _Special:
    """Check regular fields that no memo knows, and pick what the message depends on."""
    host: bytes | None = None
    length: int | None = None
    priorities: list[bytes] = []
    crumbs = 0
    for field in fields:
        _check_regular(field)
        name, value = field
        if name == b"priority":
            priorities.append(value)
        elif name == b"cookie":
            crumbs += 1
        elif name == b"content-length":
            if length is not None or not _is_length(value):
                raise MalformedRequest("content-length repeated or not a number")
            length = int(value)
        elif name == b"host":
            if host is not None:
                raise MalformedRequest("repeated host")
            host = value
    found = _Special(host, length, b", ".join(priorities) if priorities else None, crumbs > 1)
    if len(fields) == 1 and priorities and len(priorities[0]) <= _KNOWN_BYTES_MAX:
        if len(_alone) >= _KNOWN_MAX:
            _alone.clear()
        _alone[fields[0]] = found
    return found


def _check_regular(field: Field) -> None:
    name, value = field
    if not _is_name(name):
        raise MalformedRequest("pseudo-field out of place" if name[:1] == b":" else "field name")
    if not _is_value(value):
        raise MalformedRequest("field value")
    if name in _CONNECTION_NAMES:
        raise MalformedRequest("connection-specific field")
    if name == b"te" and value.lower() != b"trailers":
        raise MalformedRequest("te other than trailers")
    if name not in _SPECIAL_NAMES:
        _remember(_ordinary, field, len(name) + len(value))


def _check_target(target: bytes | None, method: bytes) -> bytes:
    if target is None:
        raise MalformedRequest(":path missing")
    if target == b"*":
        if method != b"OPTIONS":
            raise MalformedRequest(":path * without OPTIONS")
        return target  # not remembered: it is right for one method only
    if not _is_origin_form(target):
        raise MalformedRequest(":path")
    _remember(_targets, target, len(target))
    return target


def _check_authority(authority: bytes | None) -> bytes:
    if authority is None:
        raise MalformedRequest("neither :authority nor host")
    if not _is_authority(authority):
        raise MalformedRequest(":authority")
    _remember(_authorities, authority, len(authority))
    return authority


def _reconcile(authority: bytes | None, host: bytes, scheme: bytes) -> bytes:
    """Let Host stand in for `:authority`, and not contradict it (section 8.3.1)."""
    if authority is None:
        return host
    port = _DEFAULT_PORTS[scheme]
    if _normal(authority, port) != _normal(host, port):
        raise MalformedRequest("host is not :authority")
    return authority


def _normal(authority: bytes, default_port: bytes) -> bytes:
    """Normalise as RFC 3986 section 6.2.3 does: no case, no empty or default port."""
    return authority.lower().removesuffix(default_port).removesuffix(b":")


def _join_cookies(fields: list[Field]) -> list[Field]:
    """Put all crumbs where the first one is."""
    crumbs = b"; ".join([value for name, value in fields if name == b"cookie"])
    joined: list[Field] = []
    for field in fields:
        if field[0] != b"cookie":
            joined.append(field)
        elif crumbs:
            joined.append((b"cookie", crumbs))
            crumbs = b""
    return joined
