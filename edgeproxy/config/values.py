"""The kinds of values that configuration keys take, and how each is read.

Every kind is an annotated type: what the program holds, the function that reads what the operator
wrote, and an `Expects` that says in the operator's words what is possible; the reference manual is
made of the latter. Reading performs no I/O: whether a file exists is for `lint`.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, PlainValidator, ValidationInfo

from edgeproxy.cache.key import QueryPolicy
from edgeproxy.coding.encoders import CODINGS
from edgeproxy.config.units import format_duration, parse_duration, parse_size
from edgeproxy.edge.patterns import PathPattern, compile_pattern
from edgeproxy.http.authority import split_authority
from edgeproxy.http.messages import Fields
from edgeproxy.tls.parameters import TICKET_LIFETIME_MAX

T = TypeVar("T")


# Ours: a worker costs some tens of megabytes, and a part of the cache that is of use to it only.
WORKERS_MAX = 128


@dataclass(frozen=True, slots=True)
class Expects:
    """What may be written for a value, for messages and the manual."""

    text: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; `host` is an IP address without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _text(value: Any, expected: str) -> str:  # noqa: ANN401 - whatever stood in the file
    if not isinstance(value, str):
        raise ValueError(f"expected {expected} in quotes, not {_shown(value)}")  # noqa: TRY004 - pydantic collects only ValueError
    return value


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever stood in the file
    """Name a value the way TOML would."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return repr(value)


def _duration(value: Any) -> float:  # noqa: ANN401
    return parse_duration(_text(value, 'a duration like "30s"'))


def _timeout(value: Any) -> float:  # noqa: ANN401
    seconds = _duration(value)
    if seconds <= 0:
        raise ValueError("a timeout must be longer than nothing")
    return seconds


def _seconds(value: Any) -> int:  # noqa: ANN401
    seconds = _duration(value)
    if seconds != int(seconds):
        raise ValueError(f"expected whole seconds, not {value!r}")
    return int(seconds)


def _ticket_lifetime(value: Any) -> int:  # noqa: ANN401
    seconds = _seconds(value)
    if seconds > TICKET_LIFETIME_MAX:
        most = format_duration(TICKET_LIFETIME_MAX)
        raise ValueError(f"a ticket lives {most} at most (RFC 8446 section 4.6.1), not {value}")
    return seconds


def _seconds_or_origin(value: Any) -> int | Literal["origin"]:  # noqa: ANN401
    return "origin" if value == "origin" else _seconds(value)


def _size(value: Any) -> int:  # noqa: ANN401
    size = parse_size(_text(value, 'a size like "16KiB"'))
    if size == 0:
        raise ValueError("a size must be more than nothing")
    return size


def _address(value: Any) -> Address:  # noqa: ANN401
    text = _text(value, 'an address like "0.0.0.0:443"')
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f'expected an IP address and a port like "[::]:443", not {text!r}')
    try:
        ip = ip_address(host[1:-1] if is_bracketed else host)
    except ValueError:
        raise ValueError(f"{host!r} is no IP address; listen on addresses, not names") from None
    if isinstance(ip, IPv6Address) != is_bracketed:
        raise ValueError(f'an IPv6 address stands in brackets, like "[::]:443", not {text!r}')
    return Address(str(ip), int(port))


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
_HOST = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")


def _name(value: Any) -> str:  # noqa: ANN401
    text = _text(value, "a name")
    if not _NAME.fullmatch(text):
        raise ValueError(f"expected a letter, then letters, digits, '.', '_' or '-', not {text!r}")
    return text


def _host(value: Any) -> str:  # noqa: ANN401
    text = _text(value, "a host name").lower().removesuffix(".")
    if "*" in text:
        raise ValueError("wildcard hosts are not available in this version")
    if not text.isascii():
        raise ValueError(f"write {text!r} in its ASCII form (xn--...)")
    if not _HOST.fullmatch(text):
        raise ValueError(f"expected a host name without scheme and port, not {text!r}")
    return text


def _field_name(value: Any) -> bytes:  # noqa: ANN401
    text = _text(value, "a field name")
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{text!r} is not a field name")
    return text.lower().encode()


def _field_value(value: Any) -> bytes:  # noqa: ANN401
    text = _text(value, "a field value")
    if not _FIELD_VALUE.fullmatch(text):
        raise ValueError(f"{text!r} is not a field value: visible ASCII, no space at either end")
    return text.encode()


# Framing and the message's own metadata belong to whoever sends the message (RFC 9110 section 7.6).
_OWN_FIELDS = frozenset(
    b"age cache-status connection content-length content-range date keep-alive proxy-connection "
    b"proxy-status te trailer transfer-encoding upgrade".split()
)
_OWN_KEYS = {
    b"strict-transport-security": "hsts",
    b"cache-control": "browser (of a policy)",
    b"access-control-allow-origin": "cors",
    b"access-control-allow-credentials": "cors",
}


def _fields(value: Any) -> Fields:  # noqa: ANN401
    if not isinstance(value, dict):
        raise ValueError(f"expected a table of field names and values, not {_shown(value)}")  # noqa: TRY004 - see _text
    fields = tuple((_field_name(name), _field_value(text)) for name, text in value.items())
    for name, _ in fields:
        if name in _OWN_FIELDS:
            raise ValueError(f"{name.decode()!r} is the edge's to send")
        if name in _OWN_KEYS:
            raise ValueError(f"{name.decode()!r} has a key of its own: {_OWN_KEYS[name]}")
    return fields


def _field_names(value: Any) -> frozenset[bytes]:  # noqa: ANN401
    if not isinstance(value, list):
        raise ValueError(f"expected a list of field names, not {_shown(value)}")  # noqa: TRY004 - see _text
    names = frozenset(map(_field_name, value))
    if own := names & _OWN_FIELDS:
        raise ValueError(f"{min(own).decode()!r} is the edge's to send")
    return names


def _forward_fields(value: Any) -> Literal["all"] | frozenset[bytes]:  # noqa: ANN401
    return "all" if value == "all" else _field_names(value)


def _query(value: Any) -> QueryPolicy:  # noqa: ANN401
    if value == "all":
        return QueryPolicy("all")
    if value == "ignore":
        return QueryPolicy("ignore")
    if isinstance(value, dict) and set(value) == {"keep"} and isinstance(value["keep"], list):
        names = [_text(name, "a parameter's name") for name in value["keep"]]
        for name in names:
            if not re.fullmatch(r"[\x21-\x7e]+", name) or set(name) & set("&=#"):
                raise ValueError(f"{name!r} is not a parameter's name as it stands in a URL")
        return QueryPolicy("keep", tuple(name.encode() for name in names))
    raise ValueError('expected "all", "ignore" or { keep = ["name", ...] }')


_CODINGS = {coding.decode(): coding for coding in CODINGS}


def _codings(value: Any) -> tuple[bytes, ...]:  # noqa: ANN401
    if not isinstance(value, list):
        raise ValueError(f"expected a list of content codings, not {_shown(value)}")  # noqa: TRY004 - see _text
    names = [_text(name, "a content coding") for name in value]
    for name in names:
        if name not in _CODINGS:
            raise ValueError(f"{name!r} is none of {', '.join(_CODINGS)}")
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is listed twice")
    return tuple(_CODINGS[name] for name in names)


def _path_pattern(value: Any) -> PathPattern:  # noqa: ANN401
    return compile_pattern(_text(value, "a path pattern"))


def _page_origin(value: Any) -> str:  # noqa: ANN401
    text = _text(value, "an origin like https://shop.example").lower()
    if text in {"*", "null"}:
        if text == "null":
            raise ValueError(
                '"null" is what any sandboxed page sends; nobody can be told apart by it'
            )
        return text
    match = re.fullmatch(r"https?://(?:\*\.)?([^*/:]+)(?::([0-9]{1,5}))?", text)
    if match is None or not _HOST.fullmatch(match[1]) or int(match[2] or 1) > 65535:
        raise ValueError(
            f'expected "https://shop.example", "https://*.brand.example" or "*", not {text!r}'
        )
    # Browsers leave the default port out (Fetch standard), so a listed one would never match.
    return text.removesuffix(":443" if text.startswith("https") else ":80")


def _authority(value: Any) -> str:  # noqa: ANN401
    text = _text(value, "a host and perhaps a port")
    if not text.isascii() or split_authority(text.encode()) is None:
        raise ValueError(
            f'expected a host and perhaps a port like "assets.internal:8443", not {text!r}'
        )
    return text.lower()


def _url(value: Any) -> str:  # noqa: ANN401
    text = _text(value, "a URL like https://assets.internal:8443")
    match = re.fullmatch(r"(https?)://([^/?#]*)/?", text, re.IGNORECASE | re.ASCII)
    if match is None:
        raise ValueError(f"expected a URL of scheme, host and port only, not {text!r}")
    return f"{match[1].lower()}://{_authority(match[2])}"


def _path(value: Any, info: ValidationInfo) -> Path:  # noqa: ANN401
    text = _text(value, "a path")
    if not text or "\0" in text:
        raise ValueError("expected the path of a file or folder")
    base: Path = (info.context or {}).get("base", Path())
    return base / text


def _items(value: Any) -> Any:  # noqa: ANN401
    """Turn TOML's list into the tuple that a frozen model holds; let the model judge the rest."""
    return tuple(value) if isinstance(value, list) else value


def _one_or_more(value: Any) -> Any:  # noqa: ANN401
    if value == []:
        raise ValueError("expected at least one")
    return _items(value if isinstance(value, list) else [value])


def _workers(value: Any) -> int | Literal["auto"]:  # noqa: ANN401
    if value == "auto":
        return "auto"
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number or not 1 <= value <= WORKERS_MAX:
        raise ValueError(
            f'expected a whole number from 1 to {WORKERS_MAX}, or "auto", not {_shown(value)}'
        )
    return int(value)


Duration = Annotated[float, PlainValidator(_duration), Expects("duration")]
Timeout = Annotated[float, PlainValidator(_timeout), Expects("duration")]
Seconds = Annotated[int, PlainValidator(_seconds), Expects("duration, whole seconds")]
TicketLifetime = Annotated[
    int, PlainValidator(_ticket_lifetime), Expects("duration, whole seconds, 7d at most")
]
WorkerCount = Annotated[
    int | Literal["auto"],
    PlainValidator(_workers),
    Expects(f'whole number from 1 to {WORKERS_MAX}, or `"auto"`'),
]
Lifetime = Annotated[
    int | Literal["origin"],
    PlainValidator(_seconds_or_origin),
    Expects('duration, whole seconds, or `"origin"`'),
]
Size = Annotated[int, PlainValidator(_size), Expects("size")]
ListenAddress = Annotated[Address, PlainValidator(_address), Expects("IP address and port")]
Name = Annotated[str, PlainValidator(_name), Expects("name")]
HostName = Annotated[str, PlainValidator(_host), Expects("host name")]
FieldName = Annotated[bytes, PlainValidator(_field_name), Expects("field name")]
FieldValue = Annotated[bytes, PlainValidator(_field_value), Expects("field value")]
FieldTable = Annotated[Fields, PlainValidator(_fields), Expects("table of field names and values")]
FieldNames = Annotated[
    frozenset[bytes], PlainValidator(_field_names), Expects("list of field names")
]
ForwardFields = Annotated[
    Literal["all"] | frozenset[bytes],
    PlainValidator(_forward_fields),
    Expects('`"all"` or list of field names'),
]
Query = Annotated[
    QueryPolicy,
    PlainValidator(_query),
    Expects('`"all"`, `"ignore"` or `{ keep = ["name"] }`'),
]
Codings = Annotated[
    tuple[bytes, ...],
    PlainValidator(_codings),
    Expects('list of `"br"`, `"zstd"`, `"gzip"`'),
]
Pattern = Annotated[PathPattern, PlainValidator(_path_pattern), Expects("path pattern")]
PageOrigin = Annotated[
    str, PlainValidator(_page_origin), Expects('origin, `https://*.domain` or `"*"`')
]
Authority = Annotated[str, PlainValidator(_authority), Expects("host and port")]
Url = Annotated[str, PlainValidator(_url), Expects("URL without path")]
FilePath = Annotated[Path, PlainValidator(_path), Expects("path")]
ListOf = Annotated[tuple[T, ...], BeforeValidator(_items), Expects("list")]
OneOrMore = Annotated[tuple[T, ...], BeforeValidator(_one_or_more), Expects("one or list")]
