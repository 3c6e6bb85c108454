import pytest

from edgeproxy.control.certificates import NotReverted
from edgeproxy.control.socket_file import claim
from edgeproxy.errors import UnavailableError
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.exposition import Exposition
from edgeproxy.observe.facts import CertificateFacts, Facts, TierFacts
from edgeproxy.runtime.operations import LoadedCertificates, Operations, certificate_facts, facts
from edgeproxy.runtime.sockets import bind_all, close_all, name_of
from edgeproxy.store.memory import MemoryStore
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.identity import load_identity
from tests.support.ca import LocalCa
from tests.support.operators import curl, curl_json


@pytest.fixture
def identity(tmp_path):
    leaf = LocalCa(tmp_path).issue("www.example")
    return load_identity(leaf.chain_path, leaf.key_path, name="www.example")


@pytest.fixture
async def operations(identity):
    made = Operations(
        exposition=Exposition(Counters(), Facts),
        certificates=LoadedCertificates(FrontContext([identity])),
        status=lambda: {"pop": "fra1"},
        is_serving=lambda: True,
    )
    yield made
    await made.aclose()


async def test_both_ways_in_are_open_until_the_end(operations, tmp_path):
    [sock] = bind_all([("127.0.0.1", 0)])
    await operations.start([sock], tmp_path / "state", "fra1")
    path = tmp_path / "state" / "fra1.sock"
    assert await curl_json(path, "/v1/status") == (200, {"pop": "fra1"})
    assert (await curl(f"http://127.0.0.1:{name_of(sock)[1]}/healthz")).status == 200
    await operations.aclose()
    close_all([sock])
    assert not path.exists()


async def test_without_a_folder_metrics_are_shown_all_the_same(operations, tmp_path, caplog):
    (tmp_path / "state").touch()
    [sock] = bind_all([("127.0.0.1", 0)])
    await operations.start([sock], tmp_path / "state", "fra1")
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(
        f"no control socket {tmp_path}/state/fra1.sock: File exists; "
    )
    assert (await curl(f"http://127.0.0.1:{name_of(sock)[1]}/metrics")).status == 200
    close_all([sock])


async def test_a_running_pop_of_the_same_name_is_an_error(operations, tmp_path):
    other = claim(tmp_path, "fra1")
    with pytest.raises(UnavailableError, match="another PoP named 'fra1'"):
        await operations.start([], tmp_path, "fra1")
    other.close()


async def test_loaded_certificates_are_named_and_stay(identity):
    loaded = LoadedCertificates(FrontContext([identity]))
    [known] = loaded.status()["identities"]
    assert (known["name"], known["names"]) == ("www.example", ["www.example"])
    assert await loaded.reload() == loaded.status()
    assert await loaded.revert("www.example") == NotReverted("nothing-kept")
    assert await loaded.revert("other.example") == NotReverted("unknown-name")


def test_facts_of_certificates_are_seconds_since_the_epoch(identity):
    [known] = certificate_facts([identity])
    assert known == CertificateFacts(
        "www.example", "ecdsa", identity.not_before.timestamp(), identity.not_after.timestamp()
    )


def test_facts_are_those_of_now():
    known = facts({}, MemoryStore(1000, 100), [], is_draining=True)
    assert known == Facts(is_draining=True, tiers={"memory": TierFacts(0, 0, 1000, 0)})
