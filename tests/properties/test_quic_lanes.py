"""The fast lanes of QUIC do what aioquic's own way does: that is the oracle here.

Reading: one story is told to a connection with the lane and to one without, and after every step
they are in the same state. Writing: whichever lane makes the packets, a stock client gets what was
sent, in the order that was asked for, and nothing is left of it.
"""

import dataclasses
import logging
import os

import pytest
from aioquic import tls
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeproxy.quic.connection import ServerConnection
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import any_identity, settings_of, uint_var
from tests.support.quic_network import Frugal, Journey, Path, content_of
from tests.support.quic_stories import Fickle, SlowReader, SlowWriter, Told, differences

SETTINGS = settings_of(FrontContext([any_identity()]))
EXAMPLES = int(os.environ.get("EDGEPROXY_LANE_EXAMPLES", "1"))  # so many times as many

from hypothesis import Phase
PH=[Phase.generate]
some = st.integers(0, 7)
octets = st.one_of(st.integers(0, 40), st.integers(0, 40_000))
losses = st.one_of(st.just(0), st.integers(0, 255), st.integers(0, (1 << 40) - 1))
flow = st.tuples(st.just("flow"), losses, losses, st.integers(0, 1000), st.booleans())
steps = st.one_of(
    flow,
    flow,
    flow,
    st.tuples(st.just("ask"), octets, st.booleans()),
    st.tuples(st.just("answer"), some, octets, st.booleans()),
    st.tuples(st.just("answer"), some, st.integers(20_000, 60_000), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([0.001, 0.005, 0.03, 0.1, 0.4, 2.0])),
    st.one_of(
        st.tuples(st.just("more"), some, octets, st.booleans()),
        st.tuples(st.sampled_from(["reset", "refuse", "abandon", "stop"]), some),
        st.tuples(st.sampled_from(["again", "forge"]), st.integers(0, 40)),
        st.tuples(st.sampled_from(["ping", "renew_keys", "renew_keys_here", "rename"])),
        st.tuples(st.sampled_from(["rebind", "move"])),
        st.tuples(st.just("windows"), st.integers(0, 1 << 21)),
    ),
)


class Unforeseen(logging.Handler):
    """Keeps what was logged as a fault of ours."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.records = []

    def emit(self, record):
        self.records.append(record.getMessage())


@pytest.fixture(scope="module")
def unforeseen():
    handler = Unforeseen()
    logger = logging.getLogger("edgeproxy.quic")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@settings(max_examples=60 * EXAMPLES, phases=PH)
@given(st.lists(steps, min_size=5, max_size=40))
def test_what_is_read_fast_is_read_as_slowly(story):
    fast, slow = Told(SETTINGS, ServerConnection), Told(SETTINGS, SlowReader)
    assert differences(fast.state(), slow.state()) == {}
    for step in [("ask", 1, True), ("answer", 0, 30_000, False), *story]:
        fast.do(step)
        slow.do(step)
        assert differences(fast.state(), slow.state()) == {}, step


# --- writing -------------------------------------------------------------------------------------

WRITERS = [ServerConnection, SlowWriter, Fickle]
SUITES = [
    tls.CipherSuite.AES_128_GCM_SHA256,
    tls.CipherSuite.AES_256_GCM_SHA384,
    tls.CipherSuite.CHACHA20_POLY1305_SHA256,
]
sizes = st.one_of(st.integers(0, 3), st.integers(0, 3000), st.integers(0, 150_000))
paths = st.builds(
    Path,
    loss=st.sampled_from([0.0, 0.0, 0.02, 0.1, 0.3]),
    repeated=st.sampled_from([0.0, 0.1]),
    delay=st.sampled_from([0.001, 0.02]),
    jitter=st.sampled_from([0.0, 0.001, 0.03]),
)
moments = st.floats(0.0, 0.5)
interruptions = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["abandon", "refuse"]), moments, some),
        st.tuples(st.sampled_from(["dark", "move"]), moments),
    ),
    max_size=4,
)


@st.composite
def clients(draw):
    client = Frugal(
        server_name="a.test",
        cipher_suites=[draw(st.sampled_from(SUITES))],
        max_data=draw(st.sampled_from([5000, 40_000, 1 << 20])),
        max_stream_data=draw(st.sampled_from([1000, 20_000, 1 << 20])),
    )
    client.step = draw(st.sampled_from([0, 700, 5000]))
    client._local_max_streams_uni.value = client._local_max_streams_uni.sent = 1
    return client


def interrupt(journey, kind, moment, which=None):
    """Let something happen; a time without any datagram is some probes long."""
    path = journey.path
    if kind == "move":
        journey.at(moment, lambda: journey.move(f"198.51.100.{int(moment * 100)}"))
    elif kind == "dark":
        journey.at(moment, lambda: setattr(journey, "path", Path(loss=1.0)))
        journey.at(moment + 1.5, lambda: setattr(journey, "path", path))
    else:
        journey.at(moment, lambda: getattr(journey, kind)(4 * which))


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=15 * EXAMPLES, phases=PH)
@given(clients(), paths, st.lists(sizes, min_size=1, max_size=8), interruptions, st.data())
def test_all_that_was_queued_arrives(unforeseen, kind, client, path, content, what, data):
    Fickle.dice.seed(1)
    if any(kind_ == "move" for kind_, *_ in what):  # who cannot be asked for proof is given up
        path = dataclasses.replace(path, loss=0.0)
        what = [each for each in what if each[0] != "dark"]
    journey = Journey(SETTINGS, kind, path, seed=data.draw(st.integers(0, 9)), client=client)
    streams = [4 * n for n in range(len(content))]
    journey.ask(*streams)
    ours = [journey.server.open_unidirectional() for _ in range(3)]
    for stream_id in ours:
        journey.server.queue(stream_id, content_of(stream_id, 600))
    journey.at(0.3, lambda: setattr(client._local_max_streams_uni, "value", 3))
    for stream_id, size in zip(streams, content, strict=True):
        journey.answer(stream_id, content_of(stream_id, size))
    given_up = {4 * which[0] for _, _, *which in what if which}
    for each in what:
        interrupt(journey, *each)
    for end in (journey.server, journey.client):
        if data.draw(st.booleans()):
            journey.at(data.draw(moments), end.request_key_update)
    journey.run()
    for stream_id, size in zip(streams, content, strict=True):
        whole = content_of(stream_id, size)
        if stream_id not in given_up:
            assert stream_id not in journey.resets
        if stream_id not in journey.resets and stream_id not in given_up:
            assert bytes(journey.got[stream_id]) == whole
            assert stream_id in journey.ended
        assert whole.startswith(bytes(journey.got[stream_id]))
    for stream_id in ours:
        assert bytes(journey.got[stream_id]) == content_of(stream_id, 600)
    journey.check_nothing_is_left()
    assert unforeseen.records == []
