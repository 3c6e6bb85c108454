"""What we tell the origin of a request is what the grammars of these fields allow, whoever asks.

Forwarded by RFC 7239 section 4, Via by RFC 9110 section 7.6.3, written out again from their ABNF.
"""

import re
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from edgeproxy.http.fields import is_field_value
from edgeproxy.http.upstream import OutboundRequest
from edgeproxy.origin.outbound import forwarded, request_head

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
PAIR = re.compile(rf"({TOKEN})=({TOKEN}|{QUOTED})")
NODE = re.compile(
    r"(?:[0-9.]+|\[[0-9a-f:.]+\]|unknown|_[A-Za-z0-9._-]+)(?::(?:[0-9]{1,5}|_[\w.-]+))?"
)
VIA = re.compile(rf"(?:{TOKEN}/)?{TOKEN} {TOKEN}")

OURS = [b"host", b"via", b"cdn-loop", b"forwarded", b"surrogate-capability"]

identifiers = st.text(alphabet="azAZ09!#$%&'*+-.^_`|~", min_size=1, max_size=12)
authorities = st.binary(max_size=30).filter(is_field_value)
clients = st.one_of(
    st.ip_addresses().map(str), st.sampled_from(["fe80::1%eth0", "", "unix:", "%"]), st.text()
)


def asked(client: str, authority: bytes, protocol: str = "HTTP/2") -> OutboundRequest:
    return OutboundRequest(
        method=b"GET",
        target=b"/",
        fields=[
            (b"forwarded", b"for=6.6.6.6"),
            (b"x-forwarded-for", b"6.6.6.6"),
            (b"surrogate-capability", b'x="6.6.6.6"'),
        ],
        client=client,
        scheme=b"https",
        protocol=protocol,
        authority=authority,
    )


def pairs_of(element: str) -> dict[str, str]:
    """Read one forwarded-element; every octet of it must be part of a pair or a semicolon."""
    pairs, position = {}, 0
    while position < len(element):
        match = PAIR.match(element, position)
        assert match is not None, element[position:]
        name, value = match[1].lower(), match[2]
        assert name not in pairs
        pairs[name] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
        position = match.end()
        assert element[position : position + 1] in {"", ";"}
        position += 1
    return pairs


@given(clients, authorities, identifiers)
def test_forwarded_is_one_element_that_says_what_we_know(client, authority, identifier):
    value = forwarded(asked(client, authority), identifier)
    assert is_field_value(value)
    pairs = pairs_of(value.decode("latin-1"))
    assert pairs["proto"] == "https"
    assert pairs.get("host", "") == authority.decode("latin-1")
    for name in ("for", "by"):
        assert NODE.fullmatch(pairs[name]), pairs[name]
    try:
        known = ip_address(client.partition("%")[0])
    except ValueError:
        return
    assert ip_address(pairs["for"].strip("[]")) == known


@given(st.sampled_from(["HTTP/1.0", "HTTP/1.1", "HTTP/2"]), clients, identifiers)
def test_each_of_our_lines_stands_once_and_nothing_of_the_clients(protocol, client, identifier):
    head = request_head(asked(client, b"a.example", protocol), host="o", identifier=identifier)
    lines = [line.partition(b": ")[::2] for line in head.split(b"\r\n")[1:-2]]
    assert [name for name, _ in lines] == OURS
    assert b"6.6.6.6" not in head or client == "6.6.6.6"
    assert VIA.fullmatch(lines[1][1].decode())
    assert lines[1][1].startswith(protocol.removeprefix("HTTP/").encode() + b" ")
