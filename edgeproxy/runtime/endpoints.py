"""All listening sockets of a PoP, by the address that the configuration has for them.

Bound, or taken over from a PoP that runs, before anybody is born, and closed behind all. Of one
address for clients there is a socket for each worker (SO_REUSEPORT), or more: what a PoP with more
workers had bound goes on, since connections wait in the queue of each. Nothing here accepts.

Invariant: no socket that was taken over for an address of the configuration stays without a worker.
"""

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal, Self, cast, get_args

from edgeproxy.config import compile as slices
from edgeproxy.config.schema import Config
from edgeproxy.runtime.sockets import (
    Address,
    bind_all,
    bind_more,
    bind_shared,
    close_all,
    name_of,
)

Kind = Literal["https", "http", "metrics"]


@dataclass(frozen=True)
class Group:
    """All sockets of one address; `asked` is what the configuration says, with port 0 for any."""

    kind: Kind
    asked: Address
    sockets: tuple[socket.socket, ...]


def kind_of(word: object) -> Kind:
    """Return what sockets are for; raises ValueError for what nobody knows here."""
    if word not in get_args(Kind):
        raise ValueError(f"sockets for {word!r}")
    return cast("Kind", word)


class Endpoints:
    """The sockets of all processes; `close` them in every case."""

    def __init__(self, groups: Sequence[Group], workers: int) -> None:
        self.groups = groups
        self._workers = workers

    @classmethod
    def bind(cls, config: Config, workers: int, taken: Iterable[Group] = ()) -> Self:
        """Bind every address or none; those that were taken over are bound already.

        What was taken and is not asked for is closed, and all of it when this fails: whoever it
        was taken from has it still.

        Raises:
            UnavailableError: an address cannot be bound.
        """
        left = list(taken)
        with ExitStack() as bound:
            for group in left:
                bound.callback(close_all, group.sockets)
            groups = []
            for kind, asked in _wanted(config):
                known = next((g for g in left if (g.kind, g.asked) == (kind, asked)), None)
                if known is not None:
                    left.remove(known)
                group = _completed(kind, asked, workers, () if known is None else known.sockets)
                bound.callback(close_all, group.sockets)
                groups.append(group)
            bound.pop_all()
        for group in left:
            close_all(group.sockets)
        return cls(groups, workers)

    @property
    def metrics(self) -> list[socket.socket]:
        """The sockets of those who ask for metrics."""
        return self._of("metrics")

    def of_worker(self, kind: Kind, index: int) -> list[socket.socket]:
        """Return the sockets that one worker accepts from, of each address at least one."""
        return [
            each
            for group in self.groups
            if group.kind == kind
            for each in group.sockets[index :: self._workers]
        ]

    def names(self, kind: Kind) -> list[Address]:
        """Return where the addresses of a kind are bound, ports included."""
        return [name_of(group.sockets[0]) for group in self.groups if group.kind == kind]

    def not_for(self, index: int | None) -> Iterator[socket.socket]:
        """Yield what a worker inherits and must not hold; None: what the steward must not."""
        if index is None:
            yield from self.for_clients()
            return
        yield from self.metrics
        for other in range(self._workers):
            if other != index:
                yield from self.of_worker("https", other)
                yield from self.of_worker("http", other)

    def for_clients(self) -> list[socket.socket]:
        """Return the sockets of all workers."""
        return [*self._of("https"), *self._of("http")]

    def close_listeners(self) -> None:
        """Accept nothing any more from clients; workers do the same with what they have."""
        close_all(self.for_clients())

    def close(self) -> None:
        """Close everything."""
        for group in self.groups:
            close_all(group.sockets)

    def described(self, *, has_http3: bool = False) -> Iterator[str]:
        """Yield where somebody listens, a line for each address; UDP has the ports of HTTPS."""
        https = "h3, h2, http/1.1" if has_http3 else "h2, http/1.1"
        said = {"https": ("https", https), "http": ("http", "redirects to https")}
        for group in self.groups:
            scheme, what = said.get(group.kind, ("http", "metrics"))
            host, port = name_of(group.sockets[0])
            shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            yield f"listening on {scheme}://{shown} ({what})"

    def _of(self, kind: Kind) -> list[socket.socket]:
        return [each for group in self.groups if group.kind == kind for each in group.sockets]


def _wanted(config: Config) -> Iterator[tuple[Kind, Address]]:
    for address in slices.https_addresses(config):
        yield "https", address
    for address in slices.redirect_addresses(config):
        yield "http", address
    for address in slices.metrics_addresses(config):
        yield "metrics", address


def _completed(kind: Kind, asked: Address, workers: int, taken: tuple[socket.socket, ...]) -> Group:
    """Return a group with a socket for each process that accepts from it."""
    if kind == "metrics":
        return Group(kind, asked, taken or tuple(bind_all([asked])))
    if not taken:
        return Group(kind, asked, tuple(own for [own] in bind_shared([asked], workers)))
    more = bind_more(name_of(taken[0]), max(0, workers - len(taken)))
    return Group(kind, asked, (*taken, *more))
