"""What is on disk outlives the process, and a disk that fails costs no request."""

from edgeproxy.store.disk.store import DiskStore
from tests.support.operators import scrape
from tests.support.pop import ENTRY, running_pop

DISK = '[cache.disk]\npath = "cache"\nsize = "64MiB"\n'


def pop_on_disk(folder):
    """A PoP whose memory begins empty each time, and whose disk does not."""
    return running_pop(folder, rules=ENTRY, limits=DISK, listen='metrics = "127.0.0.1:0"')


async def test_a_restart_asks_no_origin_for_what_is_fresh(tmp_path):
    async with pop_on_disk(tmp_path) as pop:
        pop.origin.on("GET", "/a").reply(200, b"x" * 50_000, cache_control="max-age=60")
        first = await pop.curl("/a", "--http2")
        etag = first.fields["etag"]
    async with pop_on_disk(tmp_path) as pop:
        again = await pop.curl("/a", "--http2")
        assert (again.status, again.body, again.fields["etag"]) == (200, first.body, etag)
        assert again.fields["cache-status"].startswith("fra1; hit")
        assert (await pop.curl("/a", "--http1.1", "-r", "0-9")).body == b"x" * 10
        assert pop.origin.requests == 0
        seen = await scrape(pop.metrics_port)
        assert seen["edge_cache_objects{tier=disk}"] == 1
        assert seen["edge_cache_objects{tier=memory}"] == 1


async def test_what_a_write_invalidates_is_gone_from_disk(tmp_path):
    async with pop_on_disk(tmp_path) as pop:
        pop.origin.on("GET", "/a").reply(200, b"old", cache_control="max-age=60")
        pop.origin.on("POST", "/a").reply(200, b"done")
        await pop.curl("/a", "--http2")
        await pop.curl("/a", "--http2", "-d", "x")
    async with pop_on_disk(tmp_path) as pop:
        pop.origin.on("GET", "/a").reply(200, b"new", cache_control="max-age=60")
        assert (await pop.curl("/a", "--http2")).body == b"new"


async def test_a_file_that_was_damaged_is_fetched_again(tmp_path):
    async with pop_on_disk(tmp_path) as pop:
        pop.origin.on("GET", "/a").reply(200, b"x" * 50_000, cache_control="max-age=60")
        await pop.curl("/a", "--http2")
    files = (tmp_path / "cache").rglob("*")
    [body] = [each for each in files if each.is_file() and each.stat().st_size == 50_000]
    body.write_bytes(b"y" + b"x" * 49_999)
    async with pop_on_disk(tmp_path) as pop:
        pop.origin.on("GET", "/a").reply(200, b"x" * 50_000, cache_control="max-age=60")
        again = await pop.curl("/a", "--http2")
        assert again.body == b"x" * 50_000
        assert pop.origin.requests == 1
        assert (await scrape(pop.metrics_port))["edge_disk_faults_total{reason=digest}"] == 1


async def test_a_folder_that_cannot_be_used_costs_no_request(tmp_path, caplog):
    (tmp_path / "cache").write_text("in the way")
    async with pop_on_disk(tmp_path) as pop:
        pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
        for outcome in ("fwd=uri-miss", "hit"):
            answer = await pop.curl("/a", "--http2")
            assert outcome in answer.fields["cache-status"]
        assert isinstance(pop.worker.disk, DiskStore)
        assert not pop.worker.disk.is_usable
    assert "disk" in caplog.text or "cache" in caplog.text
