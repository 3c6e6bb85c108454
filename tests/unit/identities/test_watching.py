"""Who waits for changes is woken by them, on real folders; where no event comes, by the clock."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest

from edgeproxy.identities.watching import Watcher
from tests.support.privileges import without_privileges

NEVER = 3600.0  # an event has to come


async def woken_by(watcher: Watcher, change=lambda: None) -> None:
    """Change something when the watcher listens; return when it wakes us."""
    task = asyncio.get_running_loop().create_task(watcher.woken())
    try:
        await asyncio.sleep(0)
        assert not task.done()
        change()
        async with asyncio.timeout(20):
            await task
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "site"
    place.mkdir()
    (place / "key.pem").write_text("old")
    return place


def replaced(folder):
    (folder / "fresh").write_text("new")
    (folder / "fresh").replace(folder / "key.pem")


CHANGES = {
    "a new file": lambda folder: (folder / "other.pem").touch(),
    "new content": lambda folder: (folder / "key.pem").write_text("new"),
    "a replaced file": replaced,
    "a removed file": lambda folder: (folder / "key.pem").unlink(),
    "other permissions": lambda folder: (folder / "key.pem").chmod(0o640),
    "a new link": lambda folder: (folder / "..data").symlink_to("elsewhere"),
    "a closed folder": lambda folder: folder.chmod(0),
    "a removed folder": shutil.rmtree,
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_wakes(folder, change):
    await woken_by(Watcher(lambda: [folder], look_seconds=NEVER), lambda: CHANGES[change](folder))


async def test_a_folder_that_is_not_there_is_seen_when_it_comes(tmp_path):
    folder = tmp_path / "site"
    await woken_by(Watcher(lambda: [folder], look_seconds=NEVER), folder.mkdir)


async def test_a_folder_that_is_closed_leaves_others_watched(caplog):
    with tempfile.TemporaryDirectory() as place:  # pytest's own are closed to others
        closed, folder = Path(place, "all", "closed"), Path(place, "site")
        for each in (closed, folder):
            each.mkdir(parents=True)
        for each, mode in ((Path(place), 0o755), (folder, 0o755), (closed.parent, 0)):
            each.chmod(mode)
        watcher = Watcher(lambda: [closed, folder], look_seconds=NEVER)
        with without_privileges():
            task = asyncio.get_running_loop().create_task(watcher.woken())
            await asyncio.sleep(0)
        assert not task.done()
        (folder / "key.pem").touch()
        async with asyncio.timeout(20):
            await task
    assert not caplog.records


async def test_without_any_event_the_clock_wakes(folder, tmp_path):
    await woken_by(Watcher(lambda: [folder], look_seconds=0.05))
    await woken_by(Watcher(lambda: [tmp_path / "no" / "where"], look_seconds=0.05))


async def test_where_nothing_can_be_watched_the_clock_wakes_and_it_is_said_once(caplog):
    def folders():
        raise OSError("No space left on device")  # inotify's limit

    watcher = Watcher(folders, look_seconds=0.0)
    for _ in range(2):
        async with asyncio.timeout(20):
            await watcher.woken()
    [record] = caplog.records
    assert "cannot be watched (No space left on device)" in record.getMessage()


async def test_it_ends_when_it_is_cancelled(folder):
    task = asyncio.get_running_loop().create_task(
        Watcher(lambda: [folder], look_seconds=NEVER).woken()
    )
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(20):
        await asyncio.wait({task})
    assert task.cancelled()
