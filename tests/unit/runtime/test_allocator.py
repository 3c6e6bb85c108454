"""Tests for edgeproxy/runtime/allocator.py: what it does is seen in a process of its own."""

import os
import subprocess
import sys

import pytest

from edgeproxy.runtime.allocator import settings

LOOK = """
import ctypes, os, sys, threading
from edgeproxy.runtime import allocator

class Held(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]

libc = ctypes.CDLL(None)
if not hasattr(libc, "mallinfo2"):
    sys.exit(3)
libc.mallinfo2.restype = Held
if sys.argv[1] == "settled" and not allocator.settle(os.environ):
    sys.exit(4)
free_before = libc.mallinfo2().i
def code():
    for _ in range(4):  # as an encoder does: some megabytes, given back
        space = bytes(6 << 20)
        del space
threads = [threading.Thread(target=code) for _ in range(3)]
for thread in threads:
    thread.start()
    thread.join()
print(libc.mallinfo2().i - free_before)
"""


def held_by_threads(how: str) -> int:
    """Return the octets that malloc keeps of what three threads have freed."""
    plain = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    done = subprocess.run(
        [sys.executable, "-c", LOOK, how],
        env=plain,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 3:
        pytest.skip("this C library does not tell what it holds")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_what_threads_have_freed_is_given_back():
    assert held_by_threads("settled") < 1 << 20
    assert held_by_threads("left alone") > 4 << 20  # a block at least


def test_what_an_operator_has_set_stays():
    numbers = [number for number, _ in settings({})]
    assert len(numbers) == 3
    assert [n for n, _ in settings({"MALLOC_ARENA_MAX": "4"})] == numbers[:2]
    assert settings({"GLIBC_TUNABLES": "glibc.malloc.arena_max=4"}) == []
    assert settings({"GLIBC_TUNABLES": "glibc.pthread.rseq=0"}) == settings({})
