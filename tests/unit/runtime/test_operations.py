import pytest

from edgeproxy.control.certificates import NotReverted
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.exposition import Exposition
from edgeproxy.observe.facts import Facts, TierFacts
from edgeproxy.runtime.operations import Operations, claim_control, facts
from edgeproxy.runtime.sockets import bind_all, close_all, name_of
from edgeproxy.store.memory import MemoryStore
from tests.support.operators import curl, curl_json


class NoCertificates:
    """Nobody asks about certificates here."""

    def status(self):
        return {"identities": []}

    async def reload(self):
        return self.status()

    async def revert(self, _name):
        return NotReverted("unknown-name")


@pytest.fixture
async def operations():
    async def scrape():
        return Exposition(Counters(), Facts).snapshot()

    async def status():
        return {"pop": "fra1"}

    made = Operations(
        scrape=scrape,
        certificates=NoCertificates(),
        status=status,
        is_serving=lambda: True,
        reload=pytest.fail,
    )
    yield made
    await made.aclose()


async def test_both_ways_in_are_open_until_the_end(operations, tmp_path):
    [sock] = bind_all([("127.0.0.1", 0)])
    control = claim_control(tmp_path / "state", "fra1")
    await operations.start([sock], control.sock)
    path = tmp_path / "state" / "fra1.sock"
    assert await curl_json(path, "/v1/status") == (200, {"pop": "fra1"})
    assert (await curl(f"http://127.0.0.1:{name_of(sock)[1]}/healthz")).status == 200
    await operations.aclose()
    close_all([sock])
    control.close()
    assert not path.exists()


async def test_without_a_folder_metrics_are_shown_all_the_same(operations, tmp_path, caplog):
    (tmp_path / "state").touch()
    [sock] = bind_all([("127.0.0.1", 0)])
    assert claim_control(tmp_path / "state", "fra1") is None
    await operations.start([sock], None)
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(
        f"no control socket {tmp_path}/state/fra1.sock: File exists; "
    )
    assert (await curl(f"http://127.0.0.1:{name_of(sock)[1]}/metrics")).status == 200
    close_all([sock])


def test_facts_are_those_of_now():
    known = facts({}, MemoryStore(1000, 100), None, [], is_draining=True)
    assert known == Facts(is_draining=True, tiers={"memory": TierFacts(0, 0, 1000, 0)})
