"""HTTP/3 by a stack that nobody here wrote: libcurl over ngtcp2, nghttp3 and BoringSSL.

The same client also asks over HTTP/1.1 and HTTP/2, for comparison.

with Ngtcp2Client() as client:
    answer = client.get(url, "accept-encoding: br")

One client keeps its connection from request to request; `connects` counts those that it made.
Trust is not judged: BoringSSL's own verifier knows no name constraints for addresses, which the
demo's authority has. `tests/protocol/test_stapling.py` and `edgeproxy get` judge certificates.
"""

from io import BytesIO
from typing import Self

from curl_cffi import Curl, CurlInfo, CurlOpt

from tests.support.clients import Answer

VERSIONS = {"h1": 2, "h2": 4, "h3": 31}
"""CURL_HTTP_VERSION_1_1, _2TLS and _3ONLY: the last one tries nothing else."""

_SECONDS = 30


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

    def get(self, url: str, *lines: str) -> Answer:
        return self._ask({CurlOpt.URL: url.encode()}, lines)

    def head(self, url: str, *lines: str) -> Answer:
        return self._ask({CurlOpt.URL: url.encode(), CurlOpt.NOBODY: 1}, lines)

    def post(self, url: str, content: bytes, *lines: str) -> Answer:
        options = {CurlOpt.POSTFIELDSIZE: len(content), CurlOpt.COPYPOSTFIELDS: content}
        return self._ask({CurlOpt.URL: url.encode(), **options}, lines)

    def send(self, method: str, url: str, *lines: str, target: str = "") -> Answer:
        """Ask by any method without content, for a target that curl need not understand."""
        options: dict[CurlOpt, object] = {CurlOpt.URL: url.encode()}
        if method == "HEAD":
            options[CurlOpt.NOBODY] = 1
        options[CurlOpt.CUSTOMREQUEST] = method.encode()
        options[CurlOpt.PATH_AS_IS] = 1
        if target:
            options[CurlOpt.REQUEST_TARGET] = target.encode()
        return self._ask(options, lines)

    def _ask(self, options: dict[CurlOpt, object], lines: tuple[str, ...]) -> Answer:
        curl, head, body = self._curl, BytesIO(), BytesIO()
        curl.reset()  # options only: connections stay
        always = {
            CurlOpt.HTTP_VERSION: self._version,
            CurlOpt.SSL_VERIFYPEER: 0,
            CurlOpt.TIMEOUT_MS: _SECONDS * 1000,
            CurlOpt.HTTPHEADER: [line.encode() for line in lines],
            CurlOpt.HEADERDATA: head,
            CurlOpt.WRITEDATA: body,
        }
        for option, value in {**always, **options}.items():
            curl.setopt(option, value)
        curl.perform()
        self.connects += int(curl.getinfo(CurlInfo.NUM_CONNECTS))
        return _parsed(head.getvalue(), body.getvalue())


def _parsed(head: bytes, body: bytes) -> Answer:
    last = head.strip().split(b"\r\n\r\n")[-1].decode("latin-1")  # behind interim responses
    first, *lines = last.split("\r\n")
    protocol, status = first.split(" ")[:2]
    pairs = (line.partition(":") for line in lines)
    fields = {name.lower(): value.strip() for name, _, value in pairs}
    return Answer(protocol, int(status), fields, body)
