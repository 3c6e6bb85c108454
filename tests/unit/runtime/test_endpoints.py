import pytest

from edgeproxy.config.load import load_text
from edgeproxy.errors import UnavailableError
from edgeproxy.runtime.endpoints import Endpoints, Group, kind_of
from edgeproxy.runtime.sockets import name_of
from tests.support.pop import make_place

EVERYTHING = 'metrics = "127.0.0.1:0"\nhttp_redirect = "127.0.0.1:0"'


@pytest.fixture
def config(tmp_path):
    place = make_place(tmp_path)

    def made(listen=EVERYTHING, port=0):
        text = place.text("https://127.0.0.1:9", listen=listen, port=port)
        return load_text(text, base=tmp_path)

    return made


def taken_from(endpoints):
    """Return the groups as another process would get them."""
    return [
        Group(each.kind, each.asked, tuple(sock.dup() for sock in each.sockets))
        for each in endpoints.groups
    ]


def names(sockets):
    return {name_of(each) for each in sockets}


def test_every_process_has_its_own_and_nobody_holds_the_others(config):
    endpoints = Endpoints.bind(config(), 2)
    https = [endpoints.of_worker("https", index) for index in (0, 1)]
    http = [endpoints.of_worker("http", index) for index in (0, 1)]
    assert [len(each) for each in (*https, *http, endpoints.metrics)] == [1] * 5
    assert names(https[0]) == names(https[1])
    not_for_first = [*endpoints.metrics, *https[1], *http[1]]
    assert list(endpoints.not_for(0)) == not_for_first
    assert set(endpoints.for_clients()) == {*https[0], *https[1], *http[0], *http[1]}
    said = list(endpoints.described())
    assert said[0].startswith("listening on https://127.0.0.1:")
    assert [line.rpartition("(")[2] for line in said] == [
        "h2, http/1.1)",
        "redirects to https)",
        "metrics)",
    ]
    assert next(endpoints.described(has_http3=True)).endswith(" (h3, h2, http/1.1)")
    assert {*endpoints.names("https"), *endpoints.names("http")} == names(endpoints.for_clients())
    assert list(endpoints.not_for(None)) == endpoints.for_clients()
    endpoints.close_listeners()
    assert {each.fileno() for each in endpoints.for_clients()} == {-1}
    assert endpoints.metrics[0].fileno() > 0
    endpoints.close()


@pytest.mark.parametrize(("before", "after", "each"), [(2, 3, [1, 1, 1]), (3, 2, [2, 1])])
def test_what_is_taken_over_is_served_by_however_many(config, before, after, each):
    old = Endpoints.bind(config(), before)
    new = Endpoints.bind(config(), after, taken_from(old))
    served = [new.of_worker("https", index) for index in range(after)]
    assert [len(sockets) for sockets in served] == each
    assert names(sock for sockets in served for sock in sockets) == names(old.of_worker("https", 0))
    assert names(new.metrics) == names(old.metrics)
    for endpoints in (old, new):
        endpoints.close()


def test_addresses_that_come_are_bound_and_those_that_go_are_closed(config):
    old = Endpoints.bind(config('metrics = "127.0.0.1:0"'), 1)
    taken = taken_from(old)
    new = Endpoints.bind(config('http_redirect = "127.0.0.1:0"'), 1, taken)
    assert [group.kind for group in new.groups] == ["https", "http"]
    assert names(new.of_worker("https", 0)) == names(old.of_worker("https", 0))
    assert [
        each.fileno() for group in taken for each in group.sockets if group.kind == "metrics"
    ] == [-1]
    for endpoints in (old, new):
        endpoints.close()


def test_a_start_that_fails_lets_go_of_what_it_was_given(config):
    old = Endpoints.bind(config(), 1)
    [sock] = old.of_worker("https", 0)
    sock.listen()
    taken = taken_from(old)
    with pytest.raises(UnavailableError, match="taken by another program"):
        Endpoints.bind(config(port=name_of(sock)[1]), 1, taken)
    assert {each.fileno() for group in taken for each in group.sockets} == {-1}
    assert sock.fileno() > 0
    old.close()


def test_other_kinds_are_unknown():
    assert kind_of("http") == "http"
    with pytest.raises(ValueError, match="quic"):
        kind_of("quic")
