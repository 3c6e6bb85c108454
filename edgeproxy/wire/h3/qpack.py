"""QPACK (RFC 9204) without dynamic tables: field sections to fields, and back.

We offer a table of capacity 0 and no blocked streams, and never use the peer's: every section
stands for itself, nothing waits for another stream, and nothing is kept for a connection. Knows
nothing of what fields mean (`wire/requests.py` does).

Invariants: a section that breaks the format, or refers to a dynamic table, is a `ConnectionFault`
QPACK_DECOMPRESSION_FAILED (section 2.2). One over a limit is read no further and fails alone, with
`FieldSectionTooLarge`. What we encode can be kept and concatenated behind `PREFIX`.
"""

from collections.abc import Iterable
from typing import Final, TypeVar

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h2 import huffman
from edgeproxy.wire.h2.hpack import FIELD_OVERHEAD, FieldSectionTooLarge
from edgeproxy.wire.h3.codes import QPACK_DECOMPRESSION_FAILED
from edgeproxy.wire.h3.static_table import INDEX_OF_FIELD, INDEX_OF_NAME, STATIC

Field = tuple[bytes, bytes]
Key = TypeVar("Key")
Value = TypeVar("Value")

# Required Insert Count 0 and Delta Base 0: what every section of ours begins with (4.5.1).
PREFIX: Final = b"\0\0"

# Integers of more octets than this are refused: 2**28 is beyond every limit of ours.
_INTEGER_OCTETS_MAX: Final = 4
_LARGEST_STATIC: Final = max(len(name) + len(value) + FIELD_OVERHEAD for name, value in STATIC)

# Field lines by their octets, so that new connections get what old ones paid for. Bounded in number
# and, by lengths of one octet, in size: some 3 MB if a peer fills them on purpose. Credentials, and
# what is marked as never to be indexed, stay out.
_MEMO_MAX: Final = 4096
_lines: Final[dict[bytes, Field]] = {}
_NOTHING: Final[Field] = (b"", b"")
# All lines behind a path, likewise: those of one page's requests are mostly the same.
_TAIL_BYTES_MAX: Final = 512
_tails: Final[dict[bytes, tuple[Field, ...]]] = {}
_PATH: Final = 0x51  # a literal behind the static table's name of `:path`
_CREDENTIALS: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie"})


def _broken(reason: str) -> ConnectionFault:
    return ConnectionFault(QPACK_DECOMPRESSION_FAILED, reason)


def _remember(memo: dict[Key, Value], key: Key, value: Value) -> None:
    """Put into a bounded memo, which starts anew when full: simple, and it forgets old peers."""
    if len(memo) >= _MEMO_MAX:
        memo.clear()
    memo[key] = value


def _integer(section: bytes, at: int, mask: int) -> tuple[int, int]:
    """Read an integer whose prefix is `mask` of the octet at `at`; return it and what follows."""
    value = section[at] & mask
    at += 1
    if value < mask:
        return value, at
    for shift in range(0, 7 * _INTEGER_OCTETS_MAX, 7):
        octet = section[at]
        at += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
    raise _broken("integer too long")


def _string(section: bytes, at: int, mask: int) -> tuple[bytes, int]:
    """Read a string whose length has that prefix, below the bit that says Huffman."""
    is_coded = section[at] & (mask + 1)
    length, at = _integer(section, at, mask)
    end = at + length
    if end > len(section):
        raise _broken("truncated string")
    if not is_coded:
        return section[at:end], end
    text = huffman.decode(section[at:end])
    if text is None:
        raise _broken("Huffman coding")
    return text, end


def decode(section: bytes, *, field_section_bytes_max: int, fields_max: int) -> list[Field]:
    """Decode one complete encoded field section into a fresh list.

    Raises:
        FieldSectionTooLarge: The section is over a limit.
        ConnectionFault: It is broken.
    """
    try:
        fields = _lines_of(section, 2 if section[:2] == PREFIX else _prefix(section), fields_max)
    except IndexError:
        raise _broken("truncated, or no such index") from None
    count = len(fields)
    # Strings do not expand to twice their coding: the exact sum is only for sections that may
    # really be near the limit.
    may_be_large = count * _LARGEST_STATIC + 2 * len(section) > field_section_bytes_max
    if count > fields_max or (may_be_large and _size_of(fields) > field_section_bytes_max):
        raise FieldSectionTooLarge(f"{count} fields and more")
    return fields


def _size_of(fields: Iterable[Field]) -> int:
    return sum(len(name) + len(value) + FIELD_OVERHEAD for name, value in fields)


def _prefix(section: bytes) -> int:
    """Check what stands in front of the lines (section 4.5.1); return where they begin."""
    insert_count, at = _integer(section, 0, 0xFF)
    if insert_count:
        raise _broken("reference to a dynamic table that we did not offer")
    if section[at] & 0x80:
        raise _broken("negative base")
    return _integer(section, at, 0x7F)[1]


def _lines_of(section: bytes, at: int, most: int) -> list[Field]:
    """Decode the lines from `at` on; no more than one above `most`, which is one too many.

    The hot loop: clients that may not use a table send one indexed line for each pseudo-field but
    the path, and literals for all the rest. What follows the path is the same for many requests.
    """
    fields: list[Field] = []
    append, size = fields.append, len(section)
    tail_at, head_count = 0, 0
    for _ in range(most + 1):
        if at >= size:
            if tail_at and size - tail_at <= _TAIL_BYTES_MAX:
                _remember(_tails, section[tail_at:], tuple(fields[head_count:]))
            break
        octet = section[at]
        if 0xC0 <= octet < 0xFF:
            append(STATIC[octet & 0x3F])
            at += 1
            continue
        end = _value_at(section, at, octet)
        if not end:
            field, at = _uncommon(section, at, octet)
            append(field)
            if octet != 0xFF:
                tail_at = 0  # it holds what is never to be kept
            continue
        line = section[at : end + 1 + (section[end] & 0x7F)] if end < size else b""
        field = _lines.get(line, _NOTHING)
        if field is _NOTHING:
            field, end = _literal(section, at, octet)
            if field[0] in _CREDENTIALS:
                tail_at = 0
            elif end - at == len(line):
                _remember(_lines, line, field)
            at = end
        else:
            at += len(line)
        append(field)
        if octet == _PATH:
            tail = _tails.get(section[at:])
            if tail is not None:
                fields += tail
                break
            tail_at, head_count = at, len(fields)
    return fields


def _value_at(section: bytes, at: int, octet: int) -> int:
    """Return where the length of a line's value would be, if it is a literal as most are.

    That is one that anybody may keep, and with lengths of one octet: of others this is a guess that
    no memo confirms. It is 0 for what is no such literal.
    """
    if octet & 0xF0 == 0x50:  # behind a static name (section 4.5.4)
        return at + 1 if octet != 0x5F else at + 2
    if octet & 0xF0 != 0x20:
        return 0
    length = octet & 0x07  # of a literal name (section 4.5.6)
    return at + 1 + length if length != 0x07 else at + 9 + section[at + 1]


def _uncommon(section: bytes, at: int, octet: int) -> tuple[Field, int]:
    """Decode one line outside the hot loop."""
    if octet == 0xFF:
        index, at = _integer(section, at, 0x3F)
        return STATIC[index], at
    if octet & 0x80 or octet < 0x20:  # section 4.5.2 with T=0, and 4.5.3, 4.5.5
        raise _broken("reference to a dynamic table")
    return _literal(section, at, octet)


def _literal(section: bytes, at: int, octet: int) -> tuple[Field, int]:
    """Decode a literal line (sections 4.5.4 and 4.5.6); return it and where the next one begins."""
    if octet & 0x40:
        if not octet & 0x10:
            raise _broken("name of a dynamic table")
        index, at = _integer(section, at, 0x0F)
        name = STATIC[index][0]
    else:
        name, at = _string(section, at, 0x07)
    value, at = _string(section, at, 0x7F)
    return (name, value), at


# What we send. These are marked so that no intermediary keeps them in a table (section 7.1.3), and
# are not remembered here.
_SENSITIVE: Final = _CREDENTIALS | {b"set-cookie"}
_ENCODING_BYTES_MAX: Final = 512
_encodings: Final[dict[Field, bytes]] = {}


def _encode_integer(value: int, first_octet: int, mask: int) -> bytes:
    if value < mask:
        return bytes((first_octet | value,))
    octets = bytearray((first_octet | mask,))
    value -= mask
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _encode_string(text: bytes, first_octet: int, mask: int) -> bytes:
    length = huffman.encoded_length(text)
    if length < len(text):
        return _encode_integer(length, first_octet | (mask + 1), mask) + huffman.encode(text)
    return _encode_integer(len(text), first_octet, mask) + text


def encode_field(name: bytes, value: bytes) -> bytes:
    """Encode one field, whose name is in lower case, independent of its place and connection."""
    field = name, value
    encoding = _encodings.get(field)
    if encoding is not None:
        return encoding
    index = INDEX_OF_FIELD.get(field)
    if index is not None:
        return _encode_integer(index, 0xC0, 0x3F)
    is_sensitive = name in _SENSITIVE
    index = INDEX_OF_NAME.get(name)
    if index is not None:
        encoding = _encode_integer(index, 0x70 if is_sensitive else 0x50, 0x0F)
    else:
        encoding = _encode_string(name, 0x30 if is_sensitive else 0x20, 0x07)
    encoding += _encode_string(value, 0, 0x7F)
    if not is_sensitive and len(encoding) <= _ENCODING_BYTES_MAX:
        _remember(_encodings, field, encoding)
    return encoding


def encode_fields(fields: Iterable[Field]) -> bytes:
    """Encode fields in their order; such encodings can be concatenated behind `PREFIX`."""
    return b"".join([encode_field(name, value) for name, value in fields])


def encode_status(status: int) -> bytes:
    """Begin a field section: `PREFIX` and the `:status` pseudo-field."""
    return PREFIX + encode_field(b":status", b"%d" % status)
