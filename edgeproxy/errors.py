"""The whole error tree.

An exception is somebody's fault; a decision is a value (see `cache/`). Everything the product
raises on purpose derives from `EdgeError`::

    EdgeError
    ├── ConfigError        the operator: `Problem`s in a configuration; the process exits with 78
    ├── UnavailableError   the machine: what serving needs is not to be had; exits with 69
    ├── CertificateError   the operator: certificate, key and chain that cannot be an identity
    ├── DownstreamError    the client: becomes the `status` it carries; reaches no origin
    ├── UpstreamError      the next hop: carries the RFC 9209 error word and a status
    ├── StoreError         the cache's own storage: always degrades to a miss
    ├── CodingError        coded content that cannot be decoded: whoever sent it, or a bomb
    └── WireError          a peer broke a protocol's framing
        ├── ConnectionFault    ends the connection, with the protocol's error code
        └── StreamFault        ends one stream, with the protocol's error code
"""

from dataclasses import dataclass
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def without_frames(error: E) -> E:
    """Return an error that has come to its end, without the frames that it and its causes met.

    Connections and content keep why they ended. Frames refer to what was done there, that is, to
    those again: without this all of it would stay until the collector of garbage comes by.
    """
    seen: BaseException | None = error
    while seen is not None and seen.__traceback__ is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__
    return error


class EdgeError(Exception):
    """The root of every error that the product raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration, and where.

    `line` is 1-based, 0 where no line can be named; `path` is dotted, `host.0.rule.1.path`;
    `nearest` is the valid name
    that comes closest to a misspelt one, or "".
    """

    file: str
    line: int
    path: str
    message: str
    nearest: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        hint = f" (did you mean {self.nearest!r}?)" if self.nearest else ""
        path = f"{self.path}: " if self.path else ""
        return f"{where}: {path}{self.message}{hint}"


class ConfigError(EdgeError):
    """The configuration cannot be used; every problem at once."""

    def __init__(self, problems: "list[Problem] | tuple[Problem, ...]") -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class UnavailableError(EdgeError):
    """Something that serving needs is not to be had now: a port is taken, a socket refused."""


class CertificateError(EdgeError):
    """A certificate, its key and its chain do not make an identity."""


class DownstreamError(EdgeError):
    """The client's fault; `status` is the answer, `reason` a short word for counters and logs."""

    def __init__(self, status: int, reason: str, *, close: bool = False) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.close = close


class UpstreamError(EdgeError):
    """The next hop's fault: no response, or one that cannot be used.

    `word` is an RFC 9209 section 2.3 proxy error type, `status` its recommended status (502 or
    504), `is_retryable` true
    only where the request certainly was not processed or nothing of a response was seen.
    """

    def __init__(
        self, word: str, status: int, detail: str = "", *, is_retryable: bool = False
    ) -> None:
        super().__init__(f"{word}: {detail}" if detail else word)
        self.word = word
        self.status = status
        self.detail = detail
        self.is_retryable = is_retryable


class StoreError(EdgeError):
    """The cache's storage failed; the caller goes on as if nothing were stored."""


class CodingError(EdgeError):
    """Coded content is malformed, or decodes to more than is allowed (RFC 9110 section 8.4)."""


class WireError(EdgeError):
    """A peer broke a protocol's framing; `code` is that protocol's error code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} (code {code:#x})")
        self.code = code
        self.reason = reason


class ConnectionFault(WireError):
    """Ends the whole connection."""


class StreamFault(WireError):
    """Ends one stream; the connection goes on."""

    def __init__(self, stream_id: int, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.stream_id = stream_id
