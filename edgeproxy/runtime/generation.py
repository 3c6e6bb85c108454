"""A configuration that all processes of a PoP have in common, and how one is handed to another.

Generations are numbered, from 0 for that of the start; a process says by the number what it runs.
Pickles go between processes of one program only, over sockets that no other program can reach.
"""

import os
import pickle
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self, cast

from edgeproxy.config.schema import Config
from edgeproxy.runtime.identity_messages import pack_identity, unpack_identity
from edgeproxy.tls.identity import Identity, IdentitySource


@dataclass(frozen=True)
class Generation:
    """What a process begins with; `identities` are what was live of their sources at its time."""

    number: int
    config: Config
    identities: Sequence[tuple[IdentitySource, Identity]]

    def to_descriptor(self) -> int:
        """Write all of it into memory, and return the caller's descriptor of that."""
        packed = [(source, pack_identity(identity)) for source, identity in self.identities]
        descriptor = os.memfd_create("edgeproxy configuration", os.MFD_CLOEXEC)
        with open(descriptor, "wb", closefd=False) as file:
            pickle.dump((self.number, self.config, packed), file)
        return descriptor

    @classmethod
    def of_descriptor(cls, descriptor: int) -> Self:
        """Return what `to_descriptor` wrote; closes the descriptor."""
        with open(descriptor, "rb") as file:
            file.seek(0)
            number, config, packed = pickle.load(file)  # noqa: S301 - our own process wrote it
        return cls(number, config, unpacked(packed))


def unpacked(
    packed: Iterable[tuple[IdentitySource, dict[str, object]]],
) -> list[tuple[IdentitySource, Identity]]:
    """Return identities with their sources."""
    return [(source, unpack_identity(each)) for source, each in packed]


def pack_config(config: Config) -> str:
    """Return a configuration, ready for JSON."""
    return b64encode(pickle.dumps(config)).decode("ascii")


def unpack_config(packed: str) -> Config:
    """Return what `pack_config` was given."""
    return cast("Config", pickle.loads(b64decode(packed)))  # noqa: S301 - our own process wrote it
