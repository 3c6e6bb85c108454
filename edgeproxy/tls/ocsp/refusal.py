"""Why there is no staple: a bounded vocabulary for metrics, and a sentence for the log.

A refusal is a value, never an exception: whatever a responder does, serving goes on.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_DETAIL_CHARACTERS_MAX: Final = 200


class Refusal(StrEnum):
    """One word for each way of not getting a staple; their number bounds the metric's labels."""

    # what the responder says (RFC 6960 sections 2.2 and 2.3)
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    MALFORMED_REQUEST = "malformed_request"
    INTERNAL_ERROR = "internal_error"
    TRY_LATER = "try_later"
    SIG_REQUIRED = "sig_required"
    UNAUTHORIZED = "unauthorized"
    # what we think of its response (RFC 6960 section 3.2)
    GARBAGE = "garbage"
    WRONG_SERIAL = "wrong_serial"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_SIGNER = "wrong_signer"
    SIGNER_EXPIRED = "signer_expired"
    WEAK_SIGNATURE = "weak_signature"
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    # what became of the exchange
    TOO_LARGE = "too_large"
    HTTP_STATUS = "http_status"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    # why nobody was asked
    NO_ISSUER = "no_issuer"
    NO_RESPONDER = "no_responder"


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal and what there is to say about it.

    `detail` may quote a peer: it is cut, and holds printable ASCII only.
    """

    reason: Refusal
    detail: str = ""

    def __post_init__(self) -> None:
        printable = self.detail.encode("ascii", "backslashreplace").decode()
        shown = "".join(each if each.isprintable() else "?" for each in printable)
        object.__setattr__(self, "detail", shown[:_DETAIL_CHARACTERS_MAX])

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)
