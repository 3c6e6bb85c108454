"""Just enough of PNG to ask a screenshot for the colour of a pixel (8 bits, RGB or RGBA)."""

import struct
import zlib
from pathlib import Path


class Picture:
    """A decoded screenshot."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        packed, at = b"", 8
        while at < len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            chunk = data[at + 8 : at + 8 + size]
            if kind == b"IHDR":
                self.width, self.height, depth, colours = struct.unpack_from(">IIBB", chunk)
                assert depth == 8
                self._step = {2: 3, 6: 4}[colours]
            elif kind == b"IDAT":
                packed += chunk
            at += size + 12
        self._rows = self._unfilter(zlib.decompress(packed))

    def pixel(self, x: int, y: int) -> tuple[int, int, int]:
        start = x * self._step
        red, green, blue = self._rows[y][start : start + 3]
        return red, green, blue

    def _unfilter(self, raw: bytes) -> list[bytearray]:
        length = self.width * self._step
        above = bytearray(length)
        rows = []
        for start in range(0, len(raw), length + 1):
            row = bytearray(raw[start + 1 : start + 1 + length])
            self._restore(row, above, raw[start])
            rows.append(row)
            above = row
        return rows

    def _restore(self, row: bytearray, above: bytearray, kind: int) -> None:
        if kind == 0:
            return
        step = self._step
        for i in range(len(row)):
            left = row[i - step] if i >= step else 0
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = above[i]
            elif kind == 3:
                guess = (left + above[i]) // 2
            else:
                guess = _paeth(left, above[i], above[i - step] if i >= step else 0)
            row[i] = (row[i] + guess) & 0xFF


def _paeth(left: int, above: int, corner: int) -> int:
    to_left, to_above = abs(above - corner), abs(left - corner)
    to_corner = abs(left + above - corner - corner)
    if to_left <= to_above and to_left <= to_corner:
        return left
    return above if to_above <= to_corner else corner
