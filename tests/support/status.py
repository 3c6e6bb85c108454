"""What a running edge says of its certificates, for those who ask it."""

from datetime import UTC, datetime


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def served(now, *, sha256="ab" * 32, name="localhost", ends=30, ocsp=None, **more):
    """Return the document of one identity with one certificate; `ends` in days."""
    credential = {
        "kind": "ecdsa",
        "sha256": sha256,
        "subject": "CN=localhost",
        "issuer": "CN=test root",
        "not_before": iso(now - 86400),
        "not_after": iso(now + ends * 86400),
        "ocsp": ocsp or {"responder": None, "must_staple": False, "staple": None},
    }
    identity = {
        "name": name,
        "names": [name],
        "active_since": iso(now),
        "credentials": [credential],
        "is_withheld": False,
        "last_load": {"at": iso(now), "result": "loaded", "detail": ""},
        "previous": None,
    }
    return {"identities": [identity | more]}


def about_ocsp(now, *, result="good", ends=86400.0, must_staple=False):
    staple = None
    if ends is not None:
        staple = {
            "this_update": iso(now - 60),
            "next_update": iso(now + ends),
            "usable_until": iso(now + ends),
        }
    return {
        "responder": "http://ocsp.test",
        "must_staple": must_staple,
        "last_result": result,
        "last_attempt": iso(now),
        "next_attempt": iso(now + 60),
        "staple": staple,
    }
