"""One identity's past and present: what is live, what waits for a staple, what can be gone back to.

Plain state; `keeper` decides and does. Times are seconds since the epoch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgeproxy.errors import CertificateError
from edgeproxy.identities.tended import Tended
from edgeproxy.tls.files import KeyPairFiles, read_together
from edgeproxy.tls.identity import Identity, IdentitySource

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


def digest_of(pairs: Sequence[KeyPairFiles]) -> bytes:
    """Return a digest of all that the files hold, or of why they cannot be read. Blocks."""
    paths = list(dict.fromkeys(path for pair in pairs for path in pair.paths))
    hashed = hashlib.sha256(repr(paths).encode())
    try:
        for path, content in read_together(paths).items():
            hashed.update(f"{path} {content.mode} {len(content.data)} ".encode() + content.data)
    except CertificateError as error:
        hashed.update(str(error).encode())
    return hashed.digest()


def is_same(one: Identity, other: Identity) -> bool:
    """Whether two identities differ in their staples only: chain for chain, key for key."""
    return len(one.credentials) == len(other.credentials) and all(
        this.chain == that.chain
        and this.issuer == that.issuer
        and this.key.public_key() == that.key.public_key()
        for this, that in zip(one.credentials, other.credentials, strict=True)
    )
