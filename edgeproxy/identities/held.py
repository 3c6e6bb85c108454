"""One identity's past and present: what is live, what waits for a staple, what can be gone back to.

Plain state; `keeper` decides and does. Times are seconds since the epoch.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeproxy.errors import CertificateError
from edgeproxy.identities.tended import Tended
from edgeproxy.tls.files import FileContent, KeyPairFiles, read_pairs
from edgeproxy.tls.identity import Identity, IdentitySource, load_identity

LoadResult = Literal["loaded", "kept", "failed", "reverted"]


@dataclass(frozen=True, slots=True)
class Load:
    """What came of the last change: `kept` waits for a staple or was refused on purpose."""

    at: float
    result: LoadResult
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Previous:
    """An identity that can be gone back to, until then; staples of then with it."""

    identity: Identity
    until: float


class Held:
    """The state of one source's identity.

    `pending` is loaded and must not be served before it has a staple. While `is_withheld`, `live`
    itself is such a one: there is nothing better, and its names are refused. `seen` is the digest
    of the files that `last_load` came of, so that each content is judged once; `blamed` that of the
    files of which was said that they cannot be used.
    """

    def __init__(self, source: IdentitySource, live: Tended, now: float) -> None:
        self.source = source
        self.live = live
        self.pending: Tended | None = None
        self.previous: Previous | None = None
        self.is_withheld = False
        self.active_since = now
        self.last_load = Load(now, "loaded")
        self.seen = b""
        self.blamed = b""
        self.warned_days: int | None = None

    @property
    def name(self) -> str:
        """The name of the identity, for people."""
        return self.source.name

    def previous_now(self, now: float) -> Identity | None:
        """Return what can be gone back to; forget it, and its key, when its time is over."""
        if self.previous is not None and self.previous.until <= now:
            self.previous = None
        return None if self.previous is None else self.previous.identity


@dataclass(frozen=True, slots=True)
class Look:
    """What the files of an identity held at one moment, or why they could not be read."""

    digest: bytes
    contents: Mapping[Path, FileContent] | CertificateError

    def load(self, pairs: Sequence[KeyPairFiles], name: str, now: float) -> Identity:
        """Return the identity that was seen, whatever the files hold by now. Blocks.

        Raises:
            CertificateError: they could not be read, or cannot be used.
        """
        if isinstance(self.contents, CertificateError):
            raise self.contents
        return load_identity(pairs, name=name, now=now, contents=self.contents)


def look_at(pairs: Sequence[KeyPairFiles]) -> Look:
    """Read the files, once for their digest and for what comes of them. Blocks."""
    hashed = hashlib.sha256(repr([pair.paths for pair in pairs]).encode())
    try:
        contents = read_pairs(pairs)
    except CertificateError as error:
        hashed.update(str(error).encode())
        return Look(hashed.digest(), error)
    for path, content in contents.items():
        hashed.update(f"{path} {content.mode} {len(content.data)} ".encode() + content.data)
    return Look(hashed.digest(), contents)


def is_same(one: Identity, other: Identity) -> bool:
    """Whether two identities differ in their staples only: chain for chain, key for key."""
    return len(one.credentials) == len(other.credentials) and all(
        this.chain == that.chain
        and this.issuer == that.issuer
        and this.key.public_key() == that.key.public_key()
        for this, that in zip(one.credentials, other.credentials, strict=True)
    )
