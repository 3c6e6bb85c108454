"""0-RTT by a client that nobody here wrote: Chromium, which has it on."""

import asyncio
import re
from collections import Counter

from tests.support.clients import chromium
from tests.support.early import PATIENCE_SECONDS
from tests.support.pop import make_place, scripted_origin, serving

# One request after the other, until the origin says that it is enough. Chromium loses one that it
# gives to a connection in the moment in which a GOAWAY comes there; that one is made again.
PAGE = b"""<!doctype html><body></body><script>
const seen = {};
const ask = (path) => {
  const request = new XMLHttpRequest();
  request.open("GET", path, false);
  try { request.send(); } catch (error) { return 0; }
  seen[request.status] = (seen[request.status] || 0) + 1;
  return request.status;
};
while (ask("/go") !== 204) for (let n = 0; n < 20; n++) ask("/a");
document.body.textContent = JSON.stringify(seen);
</script>"""


class Told(Counter[str]):
    """Outcomes, and an event for the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.came = asyncio.Event()

    def __setitem__(self, outcome: str, count: int) -> None:
        super().__setitem__(outcome, count)
        self.came.set()


async def test_chromium_asks_early_and_notices_nothing(tmp_path):
    place = make_place(tmp_path)
    async with scripted_origin(place.ca) as origin:
        for path, content, cache_control in (
            ("/", PAGE, "max-age=600"),
            ("/a", b"hello", "max-age=0, s-maxage=600"),  # ours to keep, and not the browser's
            ("/go", b"", "no-store"),
            ("/favicon.ico", b"", "max-age=600"),
        ):
            kind = "text/html" if path == "/" else "text/plain"
            origin.on("GET", path).reply(
                200, content, cache_control=cache_control, content_type=kind
            )
        text = place.text(
            origin.url,
            listen="http3 = true\nearly_data = true",
            limits="max_requests_per_connection = 1",  # so that it comes back
        )
        async with serving(text, tmp_path, origin, place.ca.path) as pop:
            outcomes = pop.worker._udp.settings.early.outcomes = Told()
            async with asyncio.TaskGroup() as group:
                here = f"localhost:{pop.port}"
                page = group.create_task(
                    asyncio.to_thread(
                        chromium, f"https://{here}/", place.leaf.chain_path, "--dump-dom", quic=here
                    )
                )
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await outcomes.came.wait()
                origin.on("GET", "/go").reply(204)
            assert outcomes.keys() == {"accepted"}
            seen = re.search(r"<body>(.*)</body>", page.result().decode())
            assert re.fullmatch(r'\{"200":\d+,"204":1\}', seen[1])
