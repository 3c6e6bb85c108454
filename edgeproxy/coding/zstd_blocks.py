"""Where the blocks of a zstd frame end (RFC 8878 section 3.1.1).

The library that decodes them has no limit for the output of a call. A block makes 128 KiB at most,
and three octets in front of it say how long it is; whoever hands over one block a time is safe.
Only lengths are read here: what is malformed is left to the library, which refuses it.
"""

BLOCK_BYTES_MAX = 128 * 1024
"""The most that one block decodes to (section 3.1.1.2.4)."""

_MAGIC = b"\x28\xb5\x2f\xfd"
# Magic number and frame header descriptor, which says how long the rest of the header is.
_FRAME_START_BYTES = 5
_BLOCK_HEADER_BYTES = 3
_RLE_BLOCK = 1
_DICTIONARY_ID_BYTES = (0, 1, 2, 4)
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)
# Skippable frames, what follows the last block, and what is no frame at all decode to nothing.
_WITHOUT_END = 1 << 62


class BlockEnds:
    """Follows one frame through arbitrary slices of it."""

    __slots__ = ("_head", "_head_bytes", "_left")

    def __init__(self) -> None:
        self._head = b""
        self._head_bytes = _FRAME_START_BYTES
        self._left = 0

    def advance(self, data: bytes | memoryview) -> int:
        """Return how many octets of `data`, which is not empty, end no more than one block."""
        taken = 0
        if not self._left:
            taken = min(self._head_bytes - len(self._head), len(data))
            self._head += data[:taken]
            if len(self._head) == self._head_bytes:
                self._left = self._length_behind(self._head)
                self._head, self._head_bytes = b"", _BLOCK_HEADER_BYTES
        step = min(self._left, len(data) - taken)
        self._left -= step
        return taken + step

    def _length_behind(self, head: bytes) -> int:
        if self._head_bytes == _FRAME_START_BYTES:
            return _frame_header_rest(head)
        header = int.from_bytes(head, "little")
        is_last, kind, size = header & 1, header >> 1 & 3, header >> 3
        if is_last:
            return _WITHOUT_END
        return 1 if kind == _RLE_BLOCK else size


def _frame_header_rest(head: bytes) -> int:
    """Return the octets between the descriptor and the first block (section 3.1.1.1)."""
    if not head.startswith(_MAGIC):
        return _WITHOUT_END
    descriptor = head[-1]
    is_single_segment = descriptor >> 5 & 1
    content_size_bytes = _CONTENT_SIZE_BYTES[descriptor >> 6] or is_single_segment
    return 1 - is_single_segment + _DICTIONARY_ID_BYTES[descriptor & 3] + content_size_bytes
