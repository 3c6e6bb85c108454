"""What we ask a responder: DER requests and how HTTP carries them.

No nonce: it would defeat the caches in front of responders, and freshness is judged by dates (RFC
5019 section 2.1.1). Pure. RFC 6960 sections 4.1 and A.1.
"""

import base64
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

# RFC 5019 section 5: up to here a request must be a GET, so that caches can answer it.
_GET_URL_BYTES_MAX: Final = 255

# SHA-1 first: RFC 5019 made it the only one that every responder knows (here it names, and
# secures nothing); SHA-256 for those that have left it behind (RFC 9654 section 2.1.1).
ALGORITHMS: Final[tuple[hashes.HashAlgorithm, ...]] = (hashes.SHA1(), hashes.SHA256())  # noqa: S303


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request to a responder; `content` is empty for a GET."""

    method: Literal["GET", "POST"]
    url: str
    content: bytes = b""


def encode_request(
    leaf: x509.Certificate, issuer: x509.Certificate, algorithm: hashes.HashAlgorithm
) -> bytes:
    """Return the DER of an OCSPRequest for one certificate, unsigned and without a nonce."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, algorithm)
    return builder.build().public_bytes(Encoding.DER)


def http_requests(url: str, request: bytes) -> tuple[HttpRequest, ...]:
    """Return the ways of asking: GET if it is short, then POST for who does not know GET."""
    post = HttpRequest("POST", url, request)
    asked = f"{url.removesuffix('/')}/{quote(base64.b64encode(request), safe='')}"
    if "?" in url or len(asked) > _GET_URL_BYTES_MAX:
        return (post,)
    return (HttpRequest("GET", asked), post)
