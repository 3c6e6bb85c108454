"""HPACK (RFC 7541): decode field blocks exactly, encode fields without the dynamic table.

Knows nothing of what fields mean (`requests.py` does), and keeps no connection waiting: a block is
complete when it comes here.

Invariants: a block that breaks the format is a `ConnectionFault` COMPRESSION_ERROR, since the two
ends no longer agree on the table. A section over a limit is decoded to its end without being kept,
so that the table stays right, and only its message fails, with `FieldSectionTooLarge`; one
`EXCESS_FACTOR` times over is an attack and ends the connection. What we encode neither reads nor
changes the peer's dynamic table, so encodings can be kept and concatenated on any connection.
"""

from collections.abc import Iterable
from typing import Final, TypeVar

from edgeproxy.errors import ConnectionFault, EdgeError
from edgeproxy.wire.h2 import huffman
from edgeproxy.wire.h2.codes import COMPRESSION_ERROR, ENHANCE_YOUR_CALM
from edgeproxy.wire.h2.static_table import INDEX_OF_FIELD, INDEX_OF_NAME, LAST_INDEX, STATIC

Field = tuple[bytes, bytes]
Key = TypeVar("Key")
Value = TypeVar("Value")

# The update that every connection's first block of ours should begin with: the table's size is 0
# from then on, and whatever the peer makes of its SETTINGS_HEADER_TABLE_SIZE needs no answer
# (section 4.2: an encoder must otherwise acknowledge each reduction in its next block).
TABLE_UNUSED: Final = b"\x20"

# RFC 7541 section 4.1 and RFC 9113 section 6.5.2 charge each field this much on top of its octets.
FIELD_OVERHEAD: Final = 32

# Sections this many times over a limit end the connection. A field block is at most 32 KiB, so
# honest senders cannot come near; only repeated references to large table entries can.
EXCESS_FACTOR: Final = 8

# The peer's encoder may only send two updates in a row: the lowest size and the last (section 4.2).
_UPDATES_MAX: Final = 2

# Integers of more octets than this are refused: 2**28 is beyond every limit of ours.
_INTEGER_OCTETS_MAX: Final = 4

# One list holds both tables behind 128 fillers: an indexed field's octet is its place in the list.
# New entries are inserted where the static table ends, old ones leave at the list's end; moving
# some hundred pointers costs less than an addition per look-up.
_INDEXED: Final = 0x80
_ONE_OCTET_INDEXES: Final = bytes(range(_INDEXED + 1, 0xFF))
_FILLERS: Final[list[Field]] = [(b"", b"")] * _INDEXED
_NEWEST: Final = _INDEXED + LAST_INDEX + 1
_LARGEST_STATIC: Final = max(len(name) + len(value) + FIELD_OVERHEAD for name, value in STATIC)

# Literals by their octets, so that new connections get what old ones paid for: the whole field
# where the name is a static index, else single Huffman-coded strings. Bounded in number and, by
# the one-octet length, in size: some 3 MB if a peer fills them on purpose. Credentials stay out.
_MEMO_MAX: Final = 4096
_fields: dict[bytes, Field] = {}
_texts: dict[bytes, bytes] = {}
_CREDENTIALS: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
_IS_MEMORABLE: Final = bytes(
    (0 < octet < 0x0F or 0x40 < octet <= 0x40 + LAST_INDEX)
    and STATIC[octet & 0x3F][0] not in _CREDENTIALS
    for octet in range(256)
)


class FieldSectionTooLarge(EdgeError):  # noqa: N818 - a verdict on one message, like the faults
    """A section went over a limit; its block was decoded, and the connection's table is right."""


def _remember(memo: dict[Key, Value], key: Key, value: Value) -> None:
    """Put into a bounded memo, which starts anew when full: simple, and it forgets old peers."""
    if len(memo) >= _MEMO_MAX:
        memo.clear()
    memo[key] = value


def _broken(reason: str) -> ConnectionFault:
    return ConnectionFault(COMPRESSION_ERROR, reason)


def _size_of(fields: Iterable[Field]) -> int:
    return sum(len(name) + len(value) + FIELD_OVERHEAD for name, value in fields)


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """Read an integer whose prefix is `mask` of the octet at `at`; return it and what follows."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    for shift in range(0, 7 * _INTEGER_OCTETS_MAX, 7):
        octet = block[at]
        at += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
    raise _broken("integer too long")


def _string(block: bytes, at: int, *, keep: bool) -> tuple[bytes, int]:
    """Read a string literal; return it and what follows. `keep` allows it into the memo."""
    is_coded = block[at] & 0x80
    length, at = _integer(block, at, 0x7F)
    end = at + length
    if end > len(block):
        raise _broken("truncated string")
    coded = block[at:end]
    if not is_coded:
        return coded, end
    text = _texts.get(coded)
    if text is None:
        text = huffman.decode(coded)
        if text is None:
            raise _broken("Huffman coding")
        if keep and length < 0x7F:
            _remember(_texts, coded, text)
    return text, end


class Decoder:
    """One connection's decoding context: its dynamic table and limits.

    `table_size_max` is the SETTINGS_HEADER_TABLE_SIZE in force, which is 4096 until the peer has
    acknowledged another one (`change_table_size_max`). Both limits are at least 1.
    """

    __slots__ = (
        "_capacity",
        "_fields_max",
        "_largest",
        "_lowest_max",
        "_section_bytes_max",
        "_size",
        "_size_max",
        "_table",
    )

    def __init__(
        self, table_size_max: int = 4096, *, field_section_bytes_max: int, fields_max: int
    ) -> None:
        self._section_bytes_max = field_section_bytes_max
        self._fields_max = fields_max
        self._size_max = self._lowest_max = self._capacity = table_size_max
        self._size = 0
        self._largest = _LARGEST_STATIC  # no entry was ever larger
        self._table: list[Field] = [*_FILLERS, *STATIC]

    @property
    def dynamic_table(self) -> tuple[Field, ...]:
        """The dynamic table's entries, the newest first."""
        return tuple(self._table[_NEWEST:])

    @property
    def dynamic_table_size(self) -> int:
        """The dynamic table's size as section 4.1 counts it."""
        return self._size

    def change_table_size_max(self, size_max: int) -> None:
        """Put a new SETTINGS_HEADER_TABLE_SIZE of ours in force: call when it is acknowledged.

        If that is less than the size in use, the next block has to begin with an update.
        """
        self._size_max = size_max
        self._lowest_max = min(self._lowest_max, size_max)

    def decode(self, block: bytes) -> list[Field]:
        """Decode one complete field block into a fresh list.

        A field that the table holds comes as the table's own tuple, so that the equal fields of a
        connection's requests are one object.

        Raises:
            FieldSectionTooLarge: The section is over a limit; the connection can go on.
            ConnectionFault: The block is broken, or over a limit beyond all measure.
        """
        at, size, step = 0, len(block), self._fields_max
        fields: list[Field] = []
        try:
            if not block.translate(None, _ONE_OCTET_INDEXES) and self._is_surely_small(size):
                return list(map(self._table.__getitem__, block))
            if self._lowest_max < self._capacity or (size and block[0] & 0xE0 == 0x20):
                at = self._update_size(block)
            while at < size:
                # No representation is shorter than an octet: a run of that many octets cannot go
                # far over the count. Nor do strings expand to twice their coding: the exact sum
                # is only for sections that may really be near the limit.
                at = self._run(block, at, at + step if at + step < size else size, fields)
                count = len(fields)
                if count > step or count * self._largest + 2 * size > self._section_bytes_max:
                    self._check_exactly(block, at, fields)
        except IndexError:
            raise _broken("truncated, or no such index") from None
        return fields

    def _is_surely_small(self, count: int) -> bool:
        """Whether so many indexed fields keep every limit, whichever they are; no update is due."""
        return (
            count <= self._fields_max
            and count * self._largest <= self._section_bytes_max
            and self._lowest_max >= self._capacity
        )

    def _run(self, block: bytes, at: int, stop: int, fields: list[Field]) -> int:
        """Decode representations that begin before `stop`; return where the next one begins.

        The hot loop. Of a browser's request all fields are indexed but the path, which is a literal
        without indexing: what follows it mostly is one run, which needs no interpreter per field.
        """
        table, append = self._table, fields.append
        while at < stop:
            octet = block[at]
            if 0x80 < octet < 0xFF:
                append(table[octet])
                at += 1
            elif _IS_MEMORABLE[octet]:
                end = at + 2 + (block[at + 1] & 0x7F)
                field = _fields.get(block[at:end])
                if field is None:
                    field, end = self._literal(block, at, octet)
                append(field)
                at = end
                if octet & 0x40:
                    self._insert(field)
                elif at < stop and not (rest := block[at:stop]).translate(None, _ONE_OCTET_INDEXES):
                    fields += map(table.__getitem__, rest)
                    return stop
            else:
                field, at = self._uncommon(block, at, octet)
                append(field)
        return at

    def _uncommon(self, block: bytes, at: int, octet: int) -> tuple[Field, int]:
        """Decode one representation outside the hot loop."""
        if octet == 0x80:
            raise _broken("index 0")
        if octet == 0xFF:
            index, at = _integer(block, at, 0x7F)
            return self._table[_INDEXED + index], at
        if octet & 0xE0 == 0x20:
            raise _broken("table size update inside a block, or one too many")
        field, at = self._literal(block, at, octet)
        if octet & 0x40:
            self._insert(field)
        return field, at

    def _literal(self, block: bytes, at: int, octet: int) -> tuple[Field, int]:
        """Decode a literal field (section 6.2), without inserting it; remember it if allowed."""
        index, end = _integer(block, at, 0x3F if octet & 0x40 else 0x0F)
        is_memorable = bool(_IS_MEMORABLE[octet])
        keep = not is_memorable and octet & 0xF0 != 0x10  # never-indexed ones are kept nowhere
        if index:
            name = self._table[_INDEXED + index][0]
        else:
            name, end = _string(block, end, keep=keep)
        value, end = _string(block, end, keep=keep and name not in _CREDENTIALS)
        field = name, value
        if is_memorable and block[at + 1] & 0x7F < 0x7F:
            _remember(_fields, block[at:end], field)
        return field, end

    def _insert(self, field: Field) -> None:
        """Insert an entry (section 4.4): one larger than the table empties it."""
        size = len(field[0]) + len(field[1]) + FIELD_OVERHEAD
        self._size += size
        self._largest = max(self._largest, size)
        self._table.insert(_NEWEST, field)
        if self._size > self._capacity:
            self._evict()

    def _evict(self) -> None:
        while self._size > self._capacity:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + FIELD_OVERHEAD

    def _update_size(self, block: bytes) -> int:
        """Obey the size updates at the beginning of a block (section 4.2); return their end."""
        at = 0
        for _ in range(_UPDATES_MAX):
            if at == len(block) or block[at] & 0xE0 != 0x20:
                break
            size, at = _integer(block, at, 0x1F)
            # The first update has to reach the lowest limit that was in force since the last one.
            if size > (self._size_max if self._lowest_max >= self._capacity else self._lowest_max):
                raise _broken("table size update above the limit")
            self._capacity = size
            self._lowest_max = self._size_max
            self._evict()
        if self._lowest_max < self._capacity:
            raise _broken("table size update missing")
        return at

    def _is_over(self, count: int, octets: int, factor: int = 1) -> bool:
        return count > factor * self._fields_max or octets > factor * self._section_bytes_max

    def _check_exactly(self, block: bytes, at: int, fields: list[Field]) -> None:
        """Return if the limits are kept so far; else decode the rest for the table's sake only."""
        count, octets = len(fields), _size_of(fields)
        if not self._is_over(count, octets):
            return
        while at < len(block) and not self._is_over(count, octets, EXCESS_FACTOR):
            fields.clear()
            at = self._run(block, at, min(at + self._fields_max, len(block)), fields)
            count += len(fields)
            octets += _size_of(fields)
        if self._is_over(count, octets, EXCESS_FACTOR):
            raise ConnectionFault(ENHANCE_YOUR_CALM, "field section beyond all measure")
        raise FieldSectionTooLarge(f"{count} fields of {octets} octets")


# What we send. Literals are never indexed; these are even marked so that no intermediary does
# (section 7.1.3), and are not remembered here.
_SENSITIVE: Final = _CREDENTIALS | {b"set-cookie"}
_ENCODING_BYTES_MAX: Final = 512
_encodings: dict[Field, bytes] = {}


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


def _encode_string(text: bytes) -> bytes:
    length = huffman.encoded_length(text)
    if length < len(text):
        return _encode_integer(length, 0x80, 0x7F) + huffman.encode(text)
    return _encode_integer(len(text), 0, 0x7F) + text


def encode_field(name: bytes, value: bytes) -> bytes:
    """Encode one field, whose name is in lower case, independent of its place and connection."""
    field = name, value
    encoding = _encodings.get(field)
    if encoding is not None:
        return encoding
    index = INDEX_OF_FIELD.get(field)
    if index is not None:
        return bytes((0x80 | index,))
    kind = 0x10 if name in _SENSITIVE else 0
    index = INDEX_OF_NAME.get(name, 0)
    encoding = _encode_integer(index, kind, 0x0F)
    if not index:
        encoding += _encode_string(name)
    encoding += _encode_string(value)
    if not kind and len(encoding) <= _ENCODING_BYTES_MAX:
        _remember(_encodings, field, encoding)
    return encoding


def encode_fields(fields: Iterable[Field]) -> bytes:
    """Encode fields in their order; such encodings can be concatenated."""
    return b"".join([encode_field(name, value) for name, value in fields])


def encode_status(status: int) -> bytes:
    """Encode the `:status` pseudo-field, which has to come before all other fields."""
    return encode_field(b":status", b"%d" % status)
