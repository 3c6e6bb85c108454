"""How much memory the C library holds on to, once what was in it has gone.

Changes nothing but three settings of glibc's malloc, for the process that calls and all that it
forks; where another C library serves, or an operator has set one by its environment variable,
nothing. To be called before there are threads.

Left to itself glibc gives each thread an arena of its own, and lets the size from which it maps
memory by itself, and twice that as what stays at the end of each arena, grow with the largest block
that was ever freed, up to 32 and 64 MiB. A process that codes bodies in threads then holds tens of
megabytes in each that nobody uses (docs/design/store.md has figures).
"""

import ctypes
from collections.abc import Mapping
from typing import Final

# Of malloc.h, and the environment variable that says the same.
_TRIM_THRESHOLD: Final = (-1, "MALLOC_TRIM_THRESHOLD_")
_MMAP_THRESHOLD: Final = (-3, "MALLOC_MMAP_THRESHOLD_")
_ARENA_MAX: Final = (-8, "MALLOC_ARENA_MAX")

# All ours. What serves a hit stays below the first: joined writes have 145 KiB, pieces of large
# bodies 256 KiB; encoders and large bodies lie above, and are given back when freed.
MAPPED_BYTES_MIN: Final = 512 * 1024
# At the end of the heap: room for what one turn of the loop takes and gives back.
KEPT_BYTES_MAX: Final = 4 * 1024 * 1024
# Python's own lock is around most of what threads allocate: they do not wait for each other here.
ARENAS_MAX: Final = 1

_WANTED: Final = (
    (_MMAP_THRESHOLD, MAPPED_BYTES_MIN),
    (_TRIM_THRESHOLD, KEPT_BYTES_MAX),
    (_ARENA_MAX, ARENAS_MAX),
)


def settings(environ: Mapping[str, str]) -> list[tuple[int, int]]:
    """Return which settings are ours to make, as `mallopt` takes them."""
    tuned = environ.get("GLIBC_TUNABLES", "")
    if "glibc.malloc." in tuned:
        return []
    return [(number, value) for (number, name), value in _WANTED if name not in environ]


def settle(environ: Mapping[str, str]) -> bool:
    """Bound what is held; returns False where the C library does not know how."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(*each) for each in settings(environ))
