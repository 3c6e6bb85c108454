"""Where the heads of a response end, and whether their line ends can be trusted.

aiohttp takes a bare LF for a line end and joins folded lines, which other parsers read differently:
that is how responses split (RFC 9112 sections 2.2 and 5.2). So heads are cut out here first, 1xx
ones and then the final one, and nothing behind the final one is ever looked at. Pure; interprets
nothing but the first digit of the status.

Invariants: keeps no more than one unfinished head, of bounded size; the same octets give the same
heads however they were split.
"""

import re
from typing import Final

from edgeproxy.origin.faults import fault

_INTERIM: Final = re.compile(rb"HTTP/1\.1 1(?!01)")
_BAD_LINE_END: Final = re.compile(rb"(?<!\r)\n|\n[ \t]")


class HeadCutter:
    """Cuts the heads of one exchange; `size` is what all of them have so far, in octets.

    `is_final` tells that the head that ended last was no interim one.
    """

    __slots__ = ("_head", "_size_max", "is_final", "size")

    def __init__(self, size_max: int) -> None:
        self._head = bytearray()
        self._size_max = size_max
        self.size = 0
        self.is_final = False

    @property
    def is_between(self) -> bool:
        """Whether the octets so far are whole heads."""
        return not self._head

    def cut(self, data: bytes, position: int) -> int:
        """Return where in `data` the head that goes on at `position` ends, or the data does.

        Raises:
            UpstreamError: no head of ours, or all of them are too large.
        """
        head = self._head
        before = len(head)
        head += data[position:] if position else data
        end = head.find(b"\r\n\r\n", max(before - 3, 0))
        stop = len(head) if end < 0 else end + 4
        self.size += stop - before
        if _BAD_LINE_END.search(head, max(before - 1, 0), stop):
            raise fault("http_protocol_error", "bare LF or folded field line")
        if self.size > self._size_max:
            raise fault("http_response_header_section_size", "the fields do not end")
        if end >= 0:
            self.is_final = _INTERIM.match(head) is None
            head.clear()
        return position + stop - before
