"""What a configuration offers clients over HTTP/3 that leads nowhere (RFC 7838, 8470): warnings.

Looks at the configuration alone; whether a port can be reached is `edgeproxy.cli.reaching`'s.
"""

from collections.abc import Iterator
from typing import Final

from edgeproxy.config.lint import Finding
from edgeproxy.config.schema import Config, Listen

# Ports below need privileges on the usual systems. Chromium follows no Alt-Svc from one of those to
# one above: any user of a host could wait there (RFC 7838 section 9.1).
_PRIVILEGED_BELOW: Final = 1024

_DETAILS: Final = ("alt_svc_max_age", "alt_svc_port")
_UNUSED: Final = {
    "none": "nobody is told that HTTP/3 is there: only who reads it in the DNS (RFC 9460) comes",
    "clear": "clients are told to forget that HTTP/3 is there, and come over TCP",
}


def findings(config: Config) -> Iterator[Finding]:
    """Yield warnings about what clients are told."""
    listen = config.listen
    if listen.early_data and not (listen.http3 and config.tls.ticket_lifetime):
        why = "`tls.ticket_lifetime` is 0" if listen.http3 else "`http3` is false"
        yield Finding(("listen", "early_data"), f"has no effect: {why}")
    if not listen.http3:
        keys = _DETAILS if listen.alt_svc != "advertise" else ("alt_svc", *_DETAILS)
        yield from _without_effect(listen, keys, "`http3` is false")
    elif listen.alt_svc == "advertise":
        yield from _advertised(listen)
    else:
        yield Finding(("listen", "alt_svc"), _UNUSED[listen.alt_svc])
        yield from _without_effect(listen, _DETAILS, f'`alt_svc` is "{listen.alt_svc}"')


def _without_effect(listen: Listen, keys: tuple[str, ...], why: str) -> Iterator[Finding]:
    for key in keys:
        if key in listen.model_fields_set:
            yield Finding(("listen", key), f"has no effect: {why}")


def _advertised(listen: Listen) -> Iterator[Finding]:
    told, here = listen.alt_svc_port, listen.https[0].port
    if told is not None and told != here:
        yield Finding(
            ("listen", "alt_svc_port"),
            f"clients are sent to UDP port {told}: make sure that it leads to {listen.https[0]}",
        )
        if 0 < here < _PRIVILEGED_BELOW <= told:
            yield Finding(
                ("listen", "alt_svc_port"),
                f"Chromium follows no Alt-Svc from a port below {_PRIVILEGED_BELOW} to one above",
            )
    if listen.alt_svc_max_age < 1:
        yield Finding(
            ("listen", "alt_svc_max_age"), "clients are told to forget at once that HTTP/3 is there"
        )
