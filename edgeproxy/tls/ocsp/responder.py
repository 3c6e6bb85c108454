"""Asks a responder over HTTP and has its answer judged.

Goes nowhere but to the URL in the leaf: no redirects, no proxies of the environment, no cookies, no
content codings. Every wait has a deadline and every buffer a bound, and nothing raises but
cancellation, so whoever refreshes staples needs no handler. Does not retry later: that is
`schedule`'s matter. RFC 6960 appendix A, RFC 5019 sections 4 and 5.
"""

import asyncio
from typing import Final

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from yarl import URL

from edgeproxy.tls.ocsp.certificate import responder_url
from edgeproxy.tls.ocsp.refusal import Refusal, Refused
from edgeproxy.tls.ocsp.request import ALGORITHMS, HttpRequest, encode_request, http_requests
from edgeproxy.tls.ocsp.staple import Staple
from edgeproxy.tls.ocsp.verification import RESPONSE_BYTES_MAX, verify

# "I do not know that CertID" from responders that know only one hash algorithm.
_ASK_DIFFERENTLY: Final = frozenset({Refusal.UNAUTHORIZED, Refusal.MALFORMED_REQUEST})
# What servers say that only know POST; some treat the encoded request as a path.
_NO_GET: Final = frozenset({400, 403, 404, 405, 414, 501})
_PIECE_BYTES: Final = 16 * 1024
_FIELD_BYTES_MAX: Final = 8190


class Responder:
    """A client for all responders; must be used and closed in one event loop.

    Ours: 3 s to connect and 10 s for everything, including a second try with another hash; nginx
    gives a responder 60 s, Caddy 30 s.
    """

    def __init__(
        self, *, connect_timeout_seconds: float = 3.0, total_timeout_seconds: float = 10.0
    ) -> None:
        self._connect_timeout_seconds = connect_timeout_seconds
        self._total_timeout_seconds = total_timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def fetch(
        self, leaf: x509.Certificate, issuer: x509.Certificate, now: float
    ) -> Staple | Refused:
        """Return a staple for the leaf that is good at `now`, or why there is none."""
        url = responder_url(leaf)
        if url is None:
            return Refused(Refusal.NO_RESPONDER)
        try:
            async with asyncio.timeout(self._total_timeout_seconds):
                return await self._fetch(url, leaf, issuer, now)
        except TimeoutError:
            return Refused(Refusal.TIMEOUT)
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError) as error:
            return Refused(Refusal.GARBAGE, f"not HTTP: {error}")
        except Exception as error:  # noqa: BLE001 - a library's surprise is no staple, no more
            return Refused(Refusal.UNREACHABLE, f"{type(error).__name__}: {error}")

    async def aclose(self) -> None:
        """Cut what is under way."""
        if self._session is not None:
            await self._session.close()

    async def _fetch(
        self, url: str, leaf: x509.Certificate, issuer: x509.Certificate, now: float
    ) -> Staple | Refused:
        result: Staple | Refused = Refused(Refusal.UNAUTHORIZED)
        for algorithm in ALGORITHMS:
            result = await self._ask(url, leaf, issuer, algorithm, now)
            if isinstance(result, Staple) or result.reason not in _ASK_DIFFERENTLY:
                break
        return result

    async def _ask(
        self,
        url: str,
        leaf: x509.Certificate,
        issuer: x509.Certificate,
        algorithm: HashAlgorithm,
        now: float,
    ) -> Staple | Refused:
        answer: bytes | Refused = Refused(Refusal.UNREACHABLE)
        for request in http_requests(url, encode_request(leaf, issuer, algorithm)):
            status, answer = await self._exchange(request)
            if request.method == "POST" or status not in _NO_GET:
                break
        return answer if isinstance(answer, Refused) else verify(answer, leaf, issuer, now)

    async def _exchange(self, request: HttpRequest) -> tuple[int, bytes | Refused]:
        fields = {"Accept": "application/ocsp-response"}
        if request.content:
            fields["Content-Type"] = "application/ocsp-request"
        async with self._open_session().request(
            request.method,
            URL(request.url, encoded=True),
            data=request.content or None,
            headers=fields,
            allow_redirects=False,
        ) as response:
            return response.status, await _content(response)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Asked once in days: no connection and no address is worth keeping.
                connector=aiohttp.TCPConnector(force_close=True, use_dns_cache=False),
                timeout=aiohttp.ClientTimeout(
                    total=self._total_timeout_seconds, sock_connect=self._connect_timeout_seconds
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Accept-Encoding", "User-Agent"),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=_PIECE_BYTES,
                max_line_size=_FIELD_BYTES_MAX,
                max_field_size=_FIELD_BYTES_MAX,
            )
        return self._session


async def _content(response: aiohttp.ClientResponse) -> bytes | Refused:
    """Return what a 200 holds, if it can be a response by its size and type."""
    if response.status != 200:
        return Refused(Refusal.HTTP_STATUS, str(response.status))
    # Lenient: some responders send octet-stream or nothing; but a web page is none.
    if response.content_type.startswith("text/"):
        return Refused(Refusal.GARBAGE, f"content of type {response.content_type}")
    content = bytearray()
    async for piece in response.content.iter_chunked(_PIECE_BYTES):
        content += piece
        if len(content) > RESPONSE_BYTES_MAX:
            return Refused(Refusal.TOO_LARGE, f"more than {RESPONSE_BYTES_MAX} octets")
    return bytes(content)
