"""HPACK (RFC 7541): decode field blocks exactly, encode them without the dynamic table."""

from collections.abc import Iterable
from typing import Final

from edgeproxy.errors import EdgeError

Field = tuple[bytes, bytes]

TABLE_UNUSED: Final = b"\x20"


class FieldSectionTooLarge(EdgeError):  # noqa: N818 - a verdict on one message, like the faults
    """A section went over a limit; the block was decoded, the connection's table is right."""


class Decoder:
    """One connection's decoding context."""

    def __init__(
        self, table_size_max: int = 4096, *, field_section_bytes_max: int, fields_max: int
    ) -> None:
        raise NotImplementedError

    def change_table_size_max(self, size_max: int) -> None:
        """Put a new SETTINGS_HEADER_TABLE_SIZE of ours in force: call when it is acknowledged."""
        raise NotImplementedError

    def decode(self, block: bytes) -> list[Field]:
        """Decode one complete field block."""
        raise NotImplementedError


def encode_field(name: bytes, value: bytes) -> bytes:
    """Encode one field, position-independent."""
    raise NotImplementedError


def encode_fields(fields: Iterable[Field]) -> bytes:
    """Encode fields, position-independent."""
    raise NotImplementedError


def encode_status(status: int) -> bytes:
    """Encode the :status pseudo-field."""
    raise NotImplementedError
