"""What a stapled OCSP response is worth to the client that gets it (RFC 6960 section 3.2).

Whether a response may be believed is decided where the edge decides it of its own staples
(`tls/ocsp/verification`); here the outcome is named, and dates are read even of what may not be
believed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ocsp

from edgeproxy.probe.certificates import is_issued_by
from edgeproxy.tls.ocsp.refusal import Refused
from edgeproxy.tls.ocsp.verification import verify

NONE: Final = "none"
GOOD: Final = "good"
NO_ISSUER: Final = "no_issuer"


@dataclass(frozen=True, slots=True)
class StapleState:
    """`word` is none, good, no_issuer, or why it is refused; times are of the response itself."""

    word: str
    this_update: datetime | None = None
    next_update: datetime | None = None

    @property
    def is_there(self) -> bool:
        """Whether the server stapled anything."""
        return self.word != NONE

    @property
    def is_good(self) -> bool:
        """Whether a client may rely on it."""
        return self.word == GOOD


def judge(
    der: bytes,
    leaf: x509.Certificate,
    issuer: x509.Certificate | None,
    now: float,
) -> StapleState:
    """Return what a stapled response (b"" for none) is worth at `now`, seconds since the epoch."""
    if not der:
        return StapleState(NONE)
    this_update, next_update = _dates(der)
    if issuer is None:
        return StapleState(NO_ISSUER, this_update, next_update)
    result = verify(der, leaf, issuer, now)
    if isinstance(result, Refused):
        return StapleState(str(result.reason), this_update, next_update)
    believed_until = datetime.fromtimestamp(result.next_update, UTC)
    return StapleState(GOOD, this_update, next_update or believed_until)


def issuer_of(
    leaf: x509.Certificate, candidates: tuple[x509.Certificate, ...]
) -> x509.Certificate | None:
    """Return the first candidate that has signed the leaf."""
    return next((each for each in candidates if is_issued_by(leaf, each)), None)


def _dates(der: bytes) -> tuple[datetime | None, datetime | None]:
    """Read thisUpdate and nextUpdate of a response that may be anything."""
    try:
        response = ocsp.load_der_ocsp_response(der)
        dates = response.this_update_utc, response.next_update_utc
    except (ValueError, UnsupportedAlgorithm):
        return None, None
    return dates
