"""What the origin of the long runs answers: all of it follows from the path and a version.

    /o/NUMBER/SIZE       changes with time: its version is in its ETag
    /fixed/NUMBER/SIZE   never does
    /slow/NUMBER/SIZE    comes in pieces, for some seconds, and is not stored

Whoever has a whole response can tell whether it is right: `judge`.
"""

import hashlib
import random
import re
from dataclasses import dataclass
from functools import lru_cache

_TAG = re.compile(r'(?:W/)?"(\d+)\.(\d+)\.(\d+)"')
_PATH = re.compile(r"/(o|fixed|slow)/(\d+)/(\d+)")


class WrongError(Exception):
    """A response that was taken for whole is not what the origin ever said."""


@dataclass(frozen=True)
class Thing:
    """What is at a path."""

    kind: str
    number: int
    size: int

    @classmethod
    def at(cls, path: str) -> "Thing | None":
        found = _PATH.fullmatch(path)
        return None if found is None else cls(found[1], int(found[2]), int(found[3]))

    @property
    def path(self) -> str:
        return f"/{self.kind}/{self.number}/{self.size}"

    def tag(self, version: int) -> str:
        return f'"{self.number}.{self.size}.{version}"'

    def body(self, version: int) -> bytes:
        return random.Random(f"{self.path} {version}").randbytes(self.size)


@lru_cache(maxsize=200_000)
def digest_of(thing: Thing, version: int) -> bytes:
    return hashlib.sha256(thing.body(version)).digest()


def version_of(thing: Thing, tag: str) -> int:
    """Return the version that an ETag tells; a WrongError where it is another thing's."""
    found = _TAG.fullmatch(tag)
    if found is None or (int(found[1]), int(found[2])) != (thing.number, thing.size):
        raise WrongError(f"{thing.path}: ETag {tag!r}")
    return int(found[3])


def judge(thing: Thing, tag: str, body: bytes | bytearray) -> None:
    """Raise a WrongError unless that is the content of a version of the thing."""
    version = version_of(thing, tag)
    if len(body) != thing.size:
        raise WrongError(f"{thing.path}: {len(body)} octets")
    if hashlib.sha256(body).digest() != digest_of(thing, version):
        raise WrongError(f"{thing.path}: other octets than version {version}")


def judge_part(thing: Thing, tag: str, first: int, last: int, part: bytes | bytearray) -> None:
    """The same of a 206."""
    if thing.body(version_of(thing, tag))[first : last + 1] != part:
        raise WrongError(f"{thing.path}: other octets in {first}-{last}")
