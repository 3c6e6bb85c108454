"""Replaces the two files of a certificate the ways that real tools do, chain before key.

None of them is atomic but the last: between the two steps the files do not belong together.
"""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

from tests.support.ca import Leaf

NAMES = ("fullchain.pem", "key.pem")
# Between chain and key: at once, what a script takes, what a deploy over a network takes.
GAPS_SECONDS = (0.0, 0.005, 0.06)


class Renewals:
    """Renews the files in `folder`; ways and gaps take turns.

    `hint` asks for a look at the files: too early, before they belong together again.
    """

    def __init__(self, folder: Path, hint: Callable[[], object]) -> None:
        self._folder = folder
        self._hint = hint
        self._numbers = itertools.count()
        self._ways: tuple[Callable[[Leaf], AsyncIterator[None]], ...] = (
            self._written_over,
            self._renamed,
            self._linked,
            self._folder_linked,
        )

    async def renew(self, leaf: Leaf) -> str:
        """Put a certificate and its key in place; return how that was done."""
        number = next(self._numbers)
        way = self._ways[number % len(self._ways)]
        gap = GAPS_SECONDS[number % len(GAPS_SECONDS)]
        async with aclosing(way(leaf)) as steps:
            async for _ in steps:
                if gap:
                    self._hint()
                    await asyncio.sleep(gap)
        return f"{way.__name__.strip('_').replace('_', ' ')}, {gap * 1000:g} ms apart"

    async def _written_over(self, leaf: Leaf) -> AsyncIterator[None]:
        """As `cp` does: whoever reads meanwhile sees an empty file, or half of one."""
        for source, target in self._files(leaf):
            data = source.read_bytes()
            with target.open("wb", buffering=0) as file:
                file.write(data[: len(data) // 2])
                yield
                file.write(data[len(data) // 2 :])
            yield

    async def _renamed(self, leaf: Leaf) -> AsyncIterator[None]:
        """As most ACME clients do: each file is whole at any time."""
        for source, target in self._files(leaf):
            new = target.with_suffix(".new")
            shutil.copy(source, new)
            new.replace(target)
            yield

    async def _linked(self, leaf: Leaf) -> AsyncIterator[None]:
        """As certbot does: links lead into an archive, one after the other to its newest files."""
        archive = self._folder.parent.parent / "archive"
        archive.mkdir(exist_ok=True)
        for source, target in self._files(leaf):
            kept = archive / f"{leaf.certificate.serial_number:x}-{target.name}"
            shutil.copy(source, kept)
            _link(target, kept)
            yield

    async def _folder_linked(self, leaf: Leaf) -> AsyncIterator[None]:
        """As Kubernetes does: both files are links through a link that is swapped."""
        for serial, files in (("before", self._now()), ("after", dict(self._files(leaf)))):
            version = self._folder / f"..{serial}-{leaf.certificate.serial_number:x}"
            version.mkdir()
            for source, target in files.items():
                shutil.copy(source, version / target.name)
            _link(self._folder / "..data", Path(version.name))
            for target in files.values():  # after the first round nothing changes here
                _link(target, Path("..data") / target.name)
            yield

    def _files(self, leaf: Leaf) -> list[tuple[Path, Path]]:
        sources = (leaf.chain_path, leaf.key_path)
        return [(path, self._folder / name) for path, name in zip(sources, NAMES, strict=True)]

    def _now(self) -> dict[Path, Path]:
        return {(self._folder / name): self._folder / name for name in NAMES}


def _link(path: Path, to: Path) -> None:
    new = path.with_name(f"{path.name}.link")
    new.symlink_to(to)
    new.replace(path)
