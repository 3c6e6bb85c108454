"""The document of `/v1/certificates`, whole, for each state that an identity can be in."""

import json

from edgeproxy.identities.document import days_left, describe, document
from edgeproxy.identities.held import Held, Load, Previous
from edgeproxy.identities.tended import Tended
from edgeproxy.tls.files import pairs_in
from edgeproxy.tls.identity import Identity, IdentitySource, load_identity
from tests.support.ca import LocalCa
from tests.support.clock import ManualClock
from tests.support.identities import DAY, REFUSED, Responders

URL = "http://127.0.0.1:9/ocsp"
NOW = 1_700_000_000.0
TODAY = "2023-11-14T22:13:20+00:00"


def identity_in(folder, **leaf) -> Identity:
    ca = LocalCa(folder / "ca").intermediate()
    ca.issue("a.test", "*.a.test", directory=folder / "a.test", **leaf)
    return load_identity(pairs_in(folder / "a.test"), name="a.test")


def held(identity: Identity, stapler_of=None) -> Held:
    source = IdentitySource("a.test", (), ("a.test",))
    return Held(source, Tended(identity, stapler_of), NOW)


async def test_an_identity_is_described_whole(tmp_path):
    responders = Responders(ManualClock(NOW))
    identity = identity_in(tmp_path, ocsp_url=URL)
    state = held(identity, responders.stapler_of)
    await state.live.obtain(5.0, NOW)
    leaf = identity.credentials[0].leaf
    described = describe(state, NOW)
    assert described == {
        "name": "a.test",
        "names": ["a.test", "*.a.test"],
        "active_since": TODAY,
        "is_withheld": False,
        "credentials": [
            {
                "kind": "ecdsa",
                "sha256": identity.fingerprints[0],
                "subject": "CN=a.test",
                "issuer": "CN=test intermediate",
                "not_before": leaf.not_valid_before_utc.isoformat(),
                "not_after": leaf.not_valid_after_utc.isoformat(),
                "ocsp": {
                    "responder": URL,
                    "must_staple": False,
                    "last_result": "good",
                    "last_attempt": TODAY,
                    "next_attempt": "2023-11-16T22:13:20+00:00",
                    "staple": {
                        "this_update": TODAY,
                        "next_update": "2023-11-18T22:13:20+00:00",
                        "usable_until": "2023-11-17T22:13:20+00:00",
                    },
                },
            }
        ],
        "last_load": {"at": TODAY, "result": "loaded", "detail": ""},
        "previous": None,
    }
    assert document([state], NOW) == {"identities": [described]}
    assert json.loads(json.dumps(described)) == described


def test_with_stapling_off_there_is_nothing_to_say_of_ocsp(tmp_path):
    (credential,) = describe(held(identity_in(tmp_path, ocsp_url=URL)), NOW)["credentials"]
    assert credential["ocsp"] == {
        "responder": None,
        "must_staple": False,
        "last_result": None,
        "last_attempt": None,
        "next_attempt": None,
        "staple": None,
    }


async def test_trouble_is_told(tmp_path):
    responders = Responders(ManualClock(NOW))
    responders.answer = REFUSED
    state = held(identity_in(tmp_path, ocsp_url=URL, must_staple=True), responders.stapler_of)
    await state.live.obtain(5.0, NOW)
    state.is_withheld = True
    state.last_load = Load(NOW + 1, "failed", "key.pem: no such file")
    described = describe(state, NOW)
    ocsp = described["credentials"][0]["ocsp"]
    assert (ocsp["must_staple"], ocsp["last_result"], ocsp["staple"]) == (True, "try_later", None)
    assert described["is_withheld"] is True
    assert described["last_load"]["detail"] == "key.pem: no such file"


def test_what_can_be_gone_back_to_is_told_as_long_as_it_can(tmp_path):
    identity = identity_in(tmp_path)
    state = held(identity)
    state.previous = Previous(identity, NOW + 60)
    assert describe(state, NOW)["previous"] == {
        "sha256": list(identity.fingerprints),
        "until": "2023-11-14T22:14:20+00:00",
    }
    assert describe(state, NOW + 60)["previous"] is None


def test_days_are_counted_to_the_end_and_below_zero(tmp_path):
    identity = identity_in(tmp_path, days=10)
    end = identity.not_after.timestamp()
    assert days_left(identity, end - 3 * DAY) == 3
    assert days_left(identity, end + DAY / 2) == -0.5
