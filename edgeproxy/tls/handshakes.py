"""What a handshake came to, in words of our own that are bounded, for counters.

OpenSSL's reasons are many and change; labels of metrics must not. Pure.
"""

from typing import Final, Literal, NamedTuple

Outcome = Literal[
    "completed",
    "unsupported_version",
    "no_common_cipher",
    "no_common_group",
    "no_common_signature",
    "no_application_protocol",
    "unrecognized_name",
    "missing_extension",
    "client_alert",
    "not_tls",
    "bad_record",
    "timeout",
    "closed",
    "other",
]

_OUTCOMES: Final[dict[str, Outcome]] = {
    "unsupported protocol": "unsupported_version",
    "no shared cipher": "no_common_cipher",
    "no suitable key share": "no_common_group",
    "no suitable groups": "no_common_group",
    "no suitable signature algorithm": "no_common_signature",
    "no shared signature algorithms": "no_common_signature",
    "no application protocol": "no_application_protocol",
    "http request": "not_tls",
    "https proxy request": "not_tls",
    "wrong version number": "not_tls",
    "record layer failure": "bad_record",
    "data length too long": "bad_record",
    "packet length too long": "bad_record",
    "length mismatch": "bad_record",
    "length too short": "bad_record",
    "bad extension": "bad_record",
    "bad key share": "bad_record",
    "bad record type": "bad_record",
    "unexpected message": "bad_record",
    "decryption failed or bad record mac": "bad_record",
    "bad record mac": "bad_record",
    "digest check failed": "bad_record",
}
_ALERTS: Final = ("tlsv1 alert ", "tlsv13 alert ", "sslv3 alert ", "ssl/tls alert ")

_REFUSALS: Final[dict[int, Outcome]] = {109: "missing_extension", 112: "unrecognized_name"}
"""The alerts of RFC 8446 section 6.2 that we answer a ClientHello with."""


class Handshake(NamedTuple):
    """One handshake that is over, as it is counted.

    `resumption` is `full` or `resumed`; `group` a key exchange group by its configured name; `key`
    the kind of credential that was shown, "" for a resumed session, which is shown none. All three
    are "" for a handshake that did not complete.
    """

    outcome: str
    resumption: str = ""
    group: str = ""
    key: str = ""


def outcome_of(reason: str) -> Outcome:
    """Return the word for OpenSSL's reason why a handshake broke off."""
    if reason.startswith(_ALERTS):
        return "client_alert"
    return _OUTCOMES.get(reason, "other")


def outcome_of_refusal(alert: int) -> Outcome:
    """Return the word for the alert that a ClientHello was answered with."""
    return _REFUSALS.get(alert, "other")
