"""HTTP/3 by a stack that nobody here wrote: libcurl over ngtcp2, nghttp3 and BoringSSL.

The same client also asks over HTTP/1.1 and HTTP/2, for comparison.

with Ngtcp2Client() as client:
    answer = client.get(url, "accept-encoding: br")

One client keeps its connection from request to request; `connects` counts those that it made.
Trust is not judged: BoringSSL's own verifier knows no name constraints for addresses, which the
demo's authority has. `tests/protocol/test_stapling.py` and `edgeproxy get` judge certificates.
"""

from dataclasses import dataclass, field
from io import BytesIO
from typing import Self

from curl_cffi import AsyncCurl, Curl, CurlInfo, CurlOpt

from tests.support.clients import Answer

VERSIONS = {"h1": 2, "h2": 4, "h3": 31}
"""CURL_HTTP_VERSION_1_1, _2TLS and _3ONLY: the last one tries nothing else."""

_SECONDS = 30


@dataclass(frozen=True)
class Told(Answer):
    """With what came before the answer, and behind its content."""

    interims: tuple[tuple[int, dict[str, str]], ...] = ()
    trailers: dict[str, str] = field(default_factory=dict)


class Ngtcp2Client:
    """A context manager; not for several threads."""

    def __init__(self, protocol: str = "h3") -> None:
        self._curl = Curl()
        self._version = VERSIONS[protocol]
        self.connects = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._curl.close()

    def get(self, url: str, *lines: str) -> Told:
        return self._ask({CurlOpt.URL: url.encode()}, lines)

    def head(self, url: str, *lines: str) -> Told:
        return self._ask({CurlOpt.URL: url.encode(), CurlOpt.NOBODY: 1}, lines)

    def post(self, url: str, content: bytes, *lines: str) -> Told:
        options = {CurlOpt.POSTFIELDSIZE: len(content), CurlOpt.COPYPOSTFIELDS: content}
        return self._ask({CurlOpt.URL: url.encode(), **options}, lines)

    def send(self, method: str, url: str, *lines: str, target: str = "") -> Told:
        """Ask by any method without content, for a target that curl need not understand."""
        options: dict[CurlOpt, object] = {CurlOpt.URL: url.encode()}
        if method == "HEAD":
            options[CurlOpt.NOBODY] = 1
        options[CurlOpt.CUSTOMREQUEST] = method.encode()
        options[CurlOpt.PATH_AS_IS] = 1
        if target:
            options[CurlOpt.REQUEST_TARGET] = target.encode()
        return self._ask(options, lines)

    def _ask(self, options: dict[CurlOpt, object], lines: tuple[str, ...]) -> Told:
        self._curl.reset()  # options only: connections stay
        head, body = _prepare(self._curl, self._version, options, lines)
        self._curl.perform()
        self.connects += int(self._curl.getinfo(CurlInfo.NUM_CONNECTS))
        return _parsed(head.getvalue(), body.getvalue())


async def together(urls: list[str]) -> tuple[list[Told], int]:
    """Ask for all of them at once; return the answers and how many connections that took."""
    multi = AsyncCurl()
    handles = [Curl() for _ in urls]
    try:
        parts = [
            _prepare(curl, VERSIONS["h3"], {CurlOpt.URL: url.encode(), CurlOpt.PIPEWAIT: 1}, ())
            for curl, url in zip(handles, urls, strict=True)
        ]
        for future in [multi.add_handle(curl) for curl in handles]:
            await future
        connects = sum(int(curl.getinfo(CurlInfo.NUM_CONNECTS)) for curl in handles)
    finally:
        await multi.close()
        for curl in handles:
            curl.close()
    return [_parsed(head.getvalue(), body.getvalue()) for head, body in parts], connects


def _prepare(
    curl: Curl, version: int, options: dict[CurlOpt, object], lines: tuple[str, ...]
) -> tuple[BytesIO, BytesIO]:
    """Set up one request; return what its head and its content will be written to."""
    head, body = BytesIO(), BytesIO()
    always = {
        CurlOpt.HTTP_VERSION: version,
        CurlOpt.SSL_VERIFYPEER: 0,
        CurlOpt.TIMEOUT_MS: _SECONDS * 1000,
        CurlOpt.HTTPHEADER: [line.encode() for line in lines],
        CurlOpt.HEADERDATA: head,
        CurlOpt.WRITEDATA: body,
    }
    for option, value in {**always, **options}.items():
        curl.setopt(option, value)
    return head, body


def _parsed(head: bytes, body: bytes) -> Told:
    """Take apart what curl wrote: heads, the last of which is the answer's, then trailers."""
    sections = [each.decode("latin-1") for each in head.strip().split(b"\r\n\r\n")]
    heads = [each for each in sections if each.startswith("HTTP/")]
    trailers = "\r\n".join(sections[len(heads) :])
    *interims, (protocol, status, fields) = map(_head, heads)
    return Told(
        protocol,
        status,
        fields,
        body,
        interims=tuple((number, said) for _, number, said in interims),
        trailers=_fields(trailers.split("\r\n")),
    )


def _head(text: str) -> tuple[str, int, dict[str, str]]:
    first, *lines = text.split("\r\n")
    protocol, status = first.split(" ")[:2]
    return protocol, int(status), _fields(lines)


def _fields(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines if line)
    return {name.lower(): value.strip() for name, _, value in pairs}
