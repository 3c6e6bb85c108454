"""The plaintext port's whole application: send everybody to https (RFC 9110 section 15.4).

Answers for configured host names only, because an open redirect on any Host is a phishing tool
and a way to poison caches in front of us. Never sends Strict-Transport-Security, which means
nothing over plain http (RFC 6797 section 7.2). Reads no content, reaches no origin.
"""

from collections.abc import Callable

from edgeproxy.http.authority import split_authority
from edgeproxy.http.dates import format_date
from edgeproxy.http.messages import FieldSection, Request, Response

_HTTPS_PORT = 443
_TEXT = (b"content-type", b"text/plain; charset=utf-8")


def _ignore(_status: int) -> None:
    return None


class RedirectToHttps:
    """An `Application` that redirects; `answered` hears every status, for counters."""

    def __init__(
        self,
        hosts: Callable[[str], bool],
        https_port: int = _HTTPS_PORT,
        *,
        answered: Callable[[int], None] = _ignore,
    ) -> None:
        self._hosts = hosts
        self._port = b"" if https_port == _HTTPS_PORT else b":%d" % https_port
        self._answered = answered

    def hit(self, request: Request, now: float) -> Response:
        """Answer at once; there is nothing to wait for."""
        authority = split_authority(request.authority)
        if authority is None or not request.target.startswith(b"/"):
            return _text(request, now, 400, b"bad request\n")
        host = authority[0]
        if not self._hosts(host):
            return _text(request, now, 421, b"not served here\n")
        name = b"[%b]" % host.encode("ascii") if ":" in host else host.encode("ascii")
        location = b"https://" + name + self._port + request.target
        # 308 keeps method and content; 301 is what every client of 1996 knows.
        status = 301 if request.method in (b"GET", b"HEAD") else 308
        return _text(request, now, status, b"moved to https\n", (b"location", location))

    async def handle(self, request: Request) -> Response:
        """Answer a request with content, which nobody reads."""
        return self.hit(request, request.received_at)

    def completed(
        self,
        request: Request,
        response: Response,
        body_bytes: int,
        *,
        is_whole: bool,
    ) -> None:
        """Count."""
        self._answered(response.status)


def _text(
    request: Request, now: float, status: int, text: bytes, *fields: tuple[bytes, bytes]
) -> Response:
    """Return a small response; its outcome says that the cache had no part in it."""
    section = FieldSection(
        [
            (b"date", format_date(int(now))),
            _TEXT,
            (b"content-length", b"%d" % len(text)),
            *fields,
        ]
    )
    body = b"" if request.method == b"HEAD" else text
    return Response(status, (section,), body, outcome="denied" if status >= 400 else "bypass")
