"""Tests for edgeproxy/runtime/prepared.py: what is taken over, what is refused."""

import pytest

from edgeproxy.config.load import load_text
from edgeproxy.errors import ConfigError
from edgeproxy.runtime.prepared import build, prepare, unchangeable
from tests.support.clock import ManualClock
from tests.support.pop import ENTRY, make_place

CLOCK = ManualClock()


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)


@pytest.fixture
def text(place):
    return place.text("https://127.0.0.1:9", rules=ENTRY)


@pytest.fixture
def loaded(place):
    return lambda text: load_text(text, base=place.folder)


def test_what_is_equal_is_taken_over(text, loaded):
    before = build(loaded(text), clock=CLOCK)
    prepared = prepare(
        loaded(text.replace("[limits]", "[limits]\nidle_timeout = '5s'")), before, clock=CLOCK
    )
    assert prepared.changed == ("limits",)
    assert prepared.served.sites.all[0] is before.sites.all[0]
    assert prepared.served.origins["assets"] is before.origins["assets"]


def test_another_origin_makes_another_site(text, loaded):
    before = build(loaded(text), clock=CLOCK)
    prepared = prepare(loaded(text.replace("127.0.0.1:9", "127.0.0.1:10")), before, clock=CLOCK)
    assert prepared.served.sites.all[0] is not before.sites.all[0]
    assert prepared.served.origins["assets"] is not before.origins["assets"]


def test_authorities_that_were_replaced_make_another_origin(text, loaded, place):
    before = build(loaded(text), clock=CLOCK)
    place.ca.path.write_bytes(place.ca.path.read_bytes() * 2)
    prepared = prepare(loaded(text), before, clock=CLOCK)
    assert prepared.served.origins["assets"] is not before.origins["assets"]


def test_what_is_said_of_sockets_can_change(text, loaded):
    before = build(loaded(text), clock=CLOCK)
    other = loaded(text.replace("[limits]", "alt_svc = 'clear'\nalt_svc_port = 443\n[limits]"))
    assert unchangeable(loaded(text), other) == []
    prepared = prepare(other, before, clock=CLOCK)
    assert prepared.changed == ("listen",)
    assert [site.alt_svc for site in prepared.served.sites.all] == [b"clear"]
    early = loaded(text.replace("[limits]", "early_data = true\n[limits]"))
    assert unchangeable(loaded(text), early) == []


def test_the_port_that_was_bound_is_the_one_that_is_told(text, loaded):
    config = loaded(text.replace("[limits]", "http3 = true\n[limits]"))
    before = build(config, clock=CLOCK)
    assert before.sites.all[0].alt_svc is None
    bound = build(config, clock=CLOCK, before=before, https_port=8443, has_http3=True)
    assert bound.sites.all[0].alt_svc == b'h3=":8443"; ma=86400'
    again = prepare(config, bound, clock=CLOCK)
    assert again.served.sites.all[0] is bound.sites.all[0]


def test_each_key_that_cannot_change_is_named(text, loaded):
    other = text.replace('"fra1"', '"fra2"').replace("127.0.0.1:0", "127.0.0.1:1")
    other = other.replace('"state"', '"else"').replace(
        "[limits]", 'metrics = "127.0.0.1:2"\n[limits]'
    )
    named = [("pop", "name"), ("pop", "state_dir"), ("listen", "https"), ("listen", "metrics")]
    assert unchangeable(loaded(text), loaded(other)) == named
    with pytest.raises(ConfigError) as caught:
        prepare(loaded(other), build(loaded(text), clock=CLOCK), clock=CLOCK)
    assert [problem.path for problem in caught.value.problems] == [".".join(n) for n in named]
