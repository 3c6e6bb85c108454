import inspect

from edgeproxy.listeners.quic_streams import QuicStreams
from edgeproxy.wire.h3.transport import Transport


def test_it_is_a_part_of_what_a_connection_offers():
    for name, member in vars(Transport).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            assert inspect.signature(member) == inspect.signature(getattr(QuicStreams, name)), name
