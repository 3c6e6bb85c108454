"""One request of `edgeproxy get`, in this process: what the report says, and the content."""

from edgeproxy.clock import SystemClock
from edgeproxy.probe.addresses import Address
from edgeproxy.probe.get.answer import Asked
from edgeproxy.probe.get.asking import Asking
from edgeproxy.probe.get.http3 import QuicClient
from edgeproxy.probe.get.url import Url
from edgeproxy.probe.offers import Contexts

SECONDS = 20.0


async def got(
    leaf,
    port,
    *protocols,
    method="GET",
    target="/",
    fields=(),
    ca_file=None,
    host="a.test",
    octets_max=10_000_000,
    seconds=SECONDS,
):
    """Ask a server on loopback; trusts anybody unless there is a `ca_file`."""
    taken = []
    is_trusting = ca_file is None
    asking = Asking(
        Contexts(ca_file, is_trusting=is_trusting),
        QuicClient(ca_file, is_trusting=is_trusting),
        SystemClock(),
        seconds,
        octets_max,
        taken.append,
    )
    asked = Asked(Url(Address(host, port), target), method, fields, protocols)
    report = await asking.ask(asked, Address("127.0.0.1", port))
    return report, b"".join(taken)
