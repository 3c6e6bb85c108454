"""What a worker sends to begin an exchange with a sibling: one packet, whole or not at all.

Pure. Both ends are one program, forked from one process: there is no version, and what cannot be
understood is a fault of ours (`ValueError`, `KeyError`). Octets of HTTP are latin-1 in JSON, which
gives every octet back as it was.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from edgeproxy.http.messages import Field, Fields

PACKET_BYTES_MAX: Final = 96 * 1024
"""Ours: three times the largest field section that a listener takes, and less than half of what a
Unix socket lets wait by default (208 KiB), so that the largest always fits into an empty queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The question of a cache that does not own the key.

    `fields` without validators are what selects; `validators` are those of what it has itself;
    `has_stale` tells that it has something, be it without validators. `client` is the address of
    the client that it asks for, "" for none.
    """

    key: bytes
    authority: bytes
    scheme: bytes
    target: bytes
    fields: Fields
    validators: Fields
    has_stale: bool
    client: str
    protocol: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Whatever is stored or on its way under these keys is invalid."""

    keys: tuple[bytes, ...]


def pack(message: Ask | Forget) -> bytes:
    """Return the packet; whether it is small enough is for the sender to see."""
    document: dict[str, Any]
    if isinstance(message, Forget):
        document = {"forget": [key.decode("latin-1") for key in message.keys]}
    else:
        document = {
            "ask": message.key.decode("latin-1"),
            "authority": message.authority.decode("latin-1"),
            "scheme": message.scheme.decode("latin-1"),
            "target": message.target.decode("latin-1"),
            "fields": pack_fields(message.fields),
            "validators": pack_fields(message.validators),
            "has_stale": message.has_stale,
            "client": message.client,
            "protocol": message.protocol,
        }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def unpack(packet: bytes) -> Ask | Forget:
    """Return what `pack` was given.

    Raises:
        ValueError, KeyError: this is no packet.
    """
    document = json.loads(packet)
    if "forget" in document:
        return Forget(tuple(key.encode("latin-1") for key in document["forget"]))
    return Ask(
        key=document["ask"].encode("latin-1"),
        authority=document["authority"].encode("latin-1"),
        scheme=document["scheme"].encode("latin-1"),
        target=document["target"].encode("latin-1"),
        fields=unpack_fields(document["fields"]),
        validators=unpack_fields(document["validators"]),
        has_stale=document["has_stale"],
        client=document["client"],
        protocol=document["protocol"],
    )


def in_packets(keys: Iterable[bytes]) -> Iterator[Forget]:
    """Spread keys over as few packets as hold them; a key is bounded by its target's length."""
    some: list[bytes] = []
    size = 0
    for key in keys:
        # A latin-1 octet is two of UTF-8 at most, but for controls, which no key has.
        if some and size + 2 * len(key) > PACKET_BYTES_MAX // 2:
            yield Forget(tuple(some))
            some, size = [], 0
        some.append(key)
        size += 2 * len(key) + 3
    if some:
        yield Forget(tuple(some))


def pack_fields(fields: Iterable[Field]) -> list[list[str]]:
    """Return fields as JSON has them."""
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]


def unpack_fields(packed: Iterable[tuple[str, str]]) -> Fields:
    """Return what `pack_fields` was given."""
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in packed)
