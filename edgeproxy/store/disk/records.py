"""Stored responses as octets, without their bodies: plain, versioned, and with a checksum.

JSON in which octets are latin-1 text; no pickle, nothing that could name code. The first octet is
the version, and a version that is not known is nothing to guess at: such a record is discarded.
Derived codings are not kept: they can be made again.
"""

import hashlib
import json
from typing import Any, Final

from edgeproxy.cache.freshness import Freshness
from edgeproxy.cache.shared import shared_fields, shared_freshness
from edgeproxy.cache.stored import LargeBody, StoredResponse
from edgeproxy.cache.vary import Vary
from edgeproxy.errors import StoreError

VERSION: Final = b"\x01"
_CHECKSUM_BYTES: Final = 16
_NAME_BYTES: Final = 16


class RecordError(StoreError):
    """Octets that are no record of this version, or not the ones that were written."""


def key_name(key: bytes) -> bytes:
    """Return what a cache key of any length is found by; the record holds the key itself."""
    return hashlib.blake2b(key, digest_size=_NAME_BYTES).digest()


def variant_name(vary: Vary) -> bytes:
    """Return what a selection is found by among the variants of a key."""
    return hashlib.blake2b(repr(vary).encode(), digest_size=_NAME_BYTES).digest()


def encode(stored: StoredResponse) -> bytes:
    """Return everything but the body; the body is found by its digest."""
    document = {
        "key": _text(stored.key),
        "status": stored.status,
        "fields": [[_text(name), _text(value)] for name, value in stored.fields],
        "times": [stored.request_time, stored.response_time, stored.initial_age],
        "freshness": _freshness(stored.freshness),
        "vary": [[_text(name), _optional(value)] for name, value in stored.vary],
        "etag": _optional(stored.etag),
        "last_modified": _optional(stored.last_modified),
        "generated": [stored.is_etag_generated, stored.is_last_modified_generated],
        "date": _text(stored.date),
        "digest": stored.digest.hex(),
        "tags": [_text(tag) for tag in stored.tags],
        "fill_generation": stored.fill_generation,
    }
    payload = json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")
    return VERSION + _checksum(payload) + payload


def decode(record: bytes, body: bytes | LargeBody) -> StoredResponse:
    """Return the stored response of a record; whether `body` is its body is the caller's to see.

    Raises:
        RecordError: it is none.
    """
    payload = memoryview(record)[1 + _CHECKSUM_BYTES :]
    if record[:1] != VERSION:
        raise RecordError(f"a record of version {record[:1].hex() or 'none'}")
    if record[1 : 1 + _CHECKSUM_BYTES] != _checksum(payload):
        raise RecordError("a record that is not the one that was written")
    try:
        return _stored(json.loads(bytes(payload)), body)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"a record that makes no sense: {error!r}") from None


def _stored(document: dict[str, Any], body: bytes | LargeBody) -> StoredResponse:
    request_time, response_time, initial_age = document["times"]
    is_etag_generated, is_last_modified_generated = document["generated"]
    return StoredResponse(
        key=_octets(document["key"]),
        status=document["status"],
        fields=shared_fields((_octets(name), _octets(value)) for name, value in document["fields"]),
        body=body,
        request_time=request_time,
        response_time=response_time,
        freshness=shared_freshness(Freshness(**document["freshness"])),
        initial_age=initial_age,
        vary=tuple((_octets(name), _maybe(value)) for name, value in document["vary"]),
        etag=_maybe(document["etag"]),
        last_modified=_maybe(document["last_modified"]),
        is_etag_generated=is_etag_generated,
        is_last_modified_generated=is_last_modified_generated,
        date=_octets(document["date"]),
        digest=bytes.fromhex(document["digest"]),
        tags=tuple(map(_octets, document["tags"])),
        fill_generation=document["fill_generation"],
    )


def _freshness(freshness: Freshness) -> dict[str, object]:
    return {name: getattr(freshness, name) for name in Freshness.__dataclass_fields__}


def _checksum(payload: bytes | memoryview) -> bytes:
    return hashlib.blake2b(payload, digest_size=_CHECKSUM_BYTES).digest()


def _text(octets: bytes) -> str:
    return octets.decode("latin-1")


def _optional(octets: bytes | None) -> str | None:
    return None if octets is None else octets.decode("latin-1")


def _octets(text: str) -> bytes:
    return text.encode("latin-1")


def _maybe(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")
