"""The fast lanes of QUIC do what aioquic's own way does: that is the oracle here.

Reading: one story is told to a connection with the lane and to one without, and after every step
they are in the same state. Writing: whichever lane makes the packets, a stock client gets what was
sent, in the order that was asked for, and nothing is left of it.
"""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeproxy.quic.connection import ServerConnection
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import any_identity, settings_of, uint_var
from tests.support.quic_stories import SlowReader, Told, differences

SETTINGS = settings_of(FrontContext([any_identity()]))
EXAMPLES = int(os.environ.get("EDGEPROXY_LANE_EXAMPLES", "1"))  # so many times as many

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


@settings(max_examples=60 * EXAMPLES)
@given(st.lists(steps, min_size=5, max_size=40))
def test_what_is_read_fast_is_read_as_slowly(story):
    fast, slow = Told(SETTINGS, ServerConnection), Told(SETTINGS, SlowReader)
    assert differences(fast.state(), slow.state()) == {}
    for step in [("ask", 1, True), ("answer", 0, 30_000, False), *story]:
        fast.do(step)
        slow.do(step)
        assert differences(fast.state(), slow.state()) == {}, step
