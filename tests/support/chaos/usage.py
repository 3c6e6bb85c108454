"""What a folder takes on a disk, looked at all the time, as `du` counts and by length."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Self

_SECTOR_BYTES = 512  # what st_blocks counts, on every file system


@dataclass
class Usage:
    """The most that was seen, in octets."""

    looks: int = 0
    blocks: int = 0
    lengths: int = 0
    files: int = 0


def usage_of(folder: Path) -> tuple[int, int, int]:
    """Return octets by blocks and by length, and the number of files, at one moment.

    Nobody holds still while a folder is walked. What was there in one walk and still is in the
    next was there at the moment between them: that is never more than there really was.
    """
    before, after = _walk(folder), _walk(folder)
    both = before.keys() & after.keys()
    blocks = sum(min(before[each][0], after[each][0]) for each in both)
    lengths = sum(min(before[each][1], after[each][1]) for each in both)
    return blocks, lengths, len(both)


def _walk(folder: Path) -> dict[int, tuple[int, int]]:
    return {
        each.st_ino: (each.st_blocks * _SECTOR_BYTES, each.st_size) for each in _found(str(folder))
    }


def _found(folder: str) -> Iterator[os.stat_result]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield found
                if entry.is_dir(follow_symlinks=False):
                    yield from _found(entry.path)
    except FileNotFoundError:
        return


class Watcher(Thread):
    """Looks at a folder again and again, from a thread; `with` it."""

    def __init__(self, folder: Path, seconds: float = 0.02) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._seconds = seconds
        self._is_over = Event()
        self.most = Usage()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join()

    def run(self) -> None:
        while not self._is_over.wait(self._seconds):
            blocks, lengths, files = usage_of(self._folder)
            self.most.looks += 1
            self.most.blocks = max(self.most.blocks, blocks)
            self.most.lengths = max(self.most.lengths, lengths)
            self.most.files = max(self.most.files, files)
