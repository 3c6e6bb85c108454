"""A body that is being written bit by bit, until it is stored or given up.

A value that one process's threads share; what happens to it is `tier`'s business.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from edgeproxy.store.disk.shared import SharedFile


@dataclass(slots=True, eq=False)
class Temporary:
    """Where it is written, and what is reserved for it, in octets.

    `is_over`: it has been stored or given up, under `lock`; there is nothing at `path` any more.
    """

    path: Path
    file: SharedFile
    reservations: list[int]
    reserved: int
    is_over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
