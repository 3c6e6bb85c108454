"""h2load against `edgeproxy serve`: nothing fails, and memory is where it was.

`EDGEPROXY_LOAD_REQUESTS=200000` makes it the long run of `make soak`.
"""

import asyncio
import os

import pytest

from tests.support import clients
from tests.support.pop import ENTRY, make_place, scripted_origin
from tests.support.served import served

REQUESTS = int(os.environ.get("EDGEPROXY_LOAD_REQUESTS", "20000"))
# Two equal rounds end up to 6 MiB apart: a batch of log lines that is being written, an arena that
# was not given back. 400 bytes leaked by a request are more than that, in the long run 40.
TOLERANCE_BYTES = 8 * 2**20


async def load(port: int, count: int, *flags: str) -> str:
    command = ("h2load", "-n", str(count), *flags, f"https://127.0.0.1:{port}/bundle.js")
    done = await asyncio.to_thread(clients.run, *command)
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("flags", "share"),
    [
        pytest.param(("-c", "50", "-m", "20"), 1.0, id="h2"),
        pytest.param(("-c", "20", "-m", "1", "--h1"), 0.2, id="http1.1"),
    ],
)
async def test_nothing_fails_and_memory_stays_flat(tmp_path, flags, share):
    place = make_place(tmp_path, "localhost", "127.0.0.1")
    path = tmp_path / "edge.toml"
    async with scripted_origin(place.ca) as origin:
        origin.on("GET", "/bundle.js").reply(200, bytes(20_000))
        text = place.text(
            origin.url,
            rules=ENTRY,
            host='aliases = ["127.0.0.1"]',
            access_log=True,
            listen="workers = 1",
        )
        path.write_text(text.replace('"warning"', '"info"'))
        async with served(path) as edge:
            count = int(REQUESTS * share)
            await load(edge.port, count // 2, *flags)
            before = edge.resident_bytes
            printed = await load(edge.port, count, *flags)
            after = edge.resident_bytes
            edge.terminate()
            assert await edge.ended() == 0
        assert origin.requests == 1
    assert f"{count} succeeded, 0 failed, 0 errored, 0 timeout" in printed
    assert f"status codes: {count} 2xx" in printed
    assert after - before < TOLERANCE_BYTES
    print(f"{before / 2**20:.1f} MiB before, {after / 2**20:.1f} MiB after\n{printed}")
