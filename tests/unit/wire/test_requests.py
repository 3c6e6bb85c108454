import pytest

from edgeproxy.wire import requests
from edgeproxy.wire.requests import MalformedRequest, parse_request, parse_trailers

METHOD = (b":method", b"GET")
SCHEME = (b":scheme", b"https")
PATH = (b":path", b"/a?b=c")
AUTHORITY = (b":authority", b"example.com")
HEAD = [METHOD, SCHEME, PATH, AUTHORITY]


@pytest.fixture(autouse=True)
def forgetful():
    for memo in (
        requests._ordinary,
        requests._targets,
        requests._authorities,
        requests._alone,
    ):
        memo.clear()


def parse(*fields, scheme=b"https"):
    """Parse twice: the memo must not change the verdict."""
    first = parse_request(list(fields), scheme=scheme)
    assert parse_request(list(fields), scheme=scheme) == first
    return first


def reason(*fields, scheme=b"https"):
    """The reason why a section is malformed, the same the second time."""
    reasons = set()
    for _ in range(2):
        with pytest.raises(MalformedRequest) as caught:
            parse_request(list(fields), scheme=scheme)
        reasons.add(str(caught.value))
    assert len(reasons) == 1
    return reasons.pop()


def replaced(name, value):
    return [(key, value if key == name else old) for key, old in HEAD]


# --- pseudo-fields (row 113) -------------------------------------------------------------------


def test_takes_a_browsers_request_apart():
    regular = [
        (b"user-agent", b"Mozilla/5.0"),
        (b"accept", b"*/*"),
        (b"accept-language", b"en, de;q=0.5"),
        (b"empty", b""),
        (b"latin", b"caf\xe9\tau lait"),
        (b"priority", b"u=1, i"),
    ]
    head = parse(*HEAD, *regular)
    assert head == (b"GET", b"https", b"example.com", b"/a?b=c", regular, None, b"u=1, i")


@pytest.mark.parametrize("order", [[3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]])
def test_pseudo_fields_come_in_any_order(order):
    head = parse(*[HEAD[place] for place in order], (b"a", b"b"))
    assert head[:5] == (b"GET", b"https", b"example.com", b"/a?b=c", [(b"a", b"b")])


def test_the_fields_are_a_fresh_list():
    fields = [*HEAD, (b"a", b"b")]
    parse_request(fields, scheme=b"https").fields.clear()
    assert len(fields) == 5


@pytest.mark.parametrize("missing", [METHOD, SCHEME, PATH, AUTHORITY])
@pytest.mark.parametrize("regular", [[], [(b"a", b"b")]])
def test_refuses_missing_pseudo_fields(missing, regular):
    found = reason(*[field for field in HEAD if field != missing], *regular)
    assert missing[0].decode() in found
    assert reason()


@pytest.mark.parametrize("repeated", HEAD)
def test_refuses_repeated_pseudo_fields(repeated):
    assert reason(repeated, *HEAD) in {"repeated pseudo-field", "pseudo-field out of place"}
    assert reason(*HEAD, repeated) == "pseudo-field out of place"
    assert reason(repeated, repeated) == "repeated pseudo-field"


@pytest.mark.parametrize("name", [b":status", b":protocol", b":", b":Method", b":host"])
def test_refuses_unknown_pseudo_fields(name):
    assert reason(*HEAD, (name, b"x")) == "pseudo-field out of place"
    assert reason((name, b"x"), *HEAD)
    assert reason(METHOD, (name, b"x"), SCHEME, PATH, AUTHORITY)


def test_refuses_pseudo_fields_after_regular_ones():
    assert reason(METHOD, SCHEME, PATH, (b"a", b"b"), AUTHORITY) == "pseudo-field out of place"
    assert reason((b"a", b"b"), *HEAD) == ":method missing"
    # even where the regular one is known to be well-formed
    parse(*HEAD, (b"a", b"b"))
    assert reason(METHOD, SCHEME, PATH, (b"a", b"b"), AUTHORITY) == "pseudo-field out of place"


@pytest.mark.parametrize(
    "method", [b"HEAD", b"OPTIONS", b"POST", b"PATCH", b"get", b"X-!#$%&'*+.^_`|~9"]
)
def test_takes_any_token_as_method(method):
    assert parse(*replaced(b":method", method)).method == method


@pytest.mark.parametrize(
    "method", [b"", b"GE T", b"GET ", b"G\0", b"GET\r\n", b"G\xc9T", b"G:", b"(GET)"]
)
def test_refuses_methods_that_are_no_tokens(method):
    assert reason(*replaced(b":method", method)) == ":method"


@pytest.mark.parametrize("scheme", [b"http", b"HTTPS", b"", b"ftp", b"https "])
def test_refuses_another_scheme_than_the_connections(scheme):
    assert reason(*replaced(b":scheme", scheme))


def test_cleartext_connections_have_the_other_scheme():
    fields = replaced(b":scheme", b"http")
    assert parse(*fields, scheme=b"http").scheme == b"http"
    assert reason(*HEAD, scheme=b"http")


@pytest.mark.parametrize(
    "target", [b"/", b"//", b"/a;b?c&d=%00%zz", b"/'\"<>[]{}|\\^`~", b"/?", b"/" * 2000]
)
def test_takes_targets_of_visible_octets(target):
    assert parse(*replaced(b":path", target)).target == target


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"a",
        b"?a",
        b"https://example.com/",
        b"/ ",
        b" /",
        b"/a b",
        b"/a\tb",
        b"/#",
        b"/a#b",
        b"/\0",
        b"/\r\n",
        b"/\n",
        b"/\x7f",
        b"/\x80",
        b"/caf\xc3\xa9",
        b"*/",
        b"**",
    ],
)
def test_refuses_other_targets(target):
    assert reason(*replaced(b":path", target)) == ":path"


def test_the_asterisk_is_for_options():
    star = replaced(b":path", b"*")
    options = [(key, b"OPTIONS" if key == b":method" else value) for key, value in star]
    assert parse(*options).target == b"*"
    assert reason(*star) == ":path * without OPTIONS"


# --- authority and host (row 113) --------------------------------------------------------------


@pytest.mark.parametrize(
    "authority",
    [
        b"a",
        b"EXAMPLE.com",
        b"example.com.",
        b"a:443",
        b"a:",
        b"127.0.0.1:8443",
        b"[::1]",
        b"[::1]:1",
        b"a_b-c~%2e",
    ],
)
def test_takes_authorities_as_received(authority):
    assert parse(*replaced(b":authority", authority)).authority == authority
    assert parse(METHOD, SCHEME, PATH, (b"host", authority)).authority == authority


@pytest.mark.parametrize(
    "authority",
    [
        b"",
        b"user@example.com",
        b"user:pass@example.com",
        b"@",
        b"example.com/",
        b"example.com#",
        b"example.com?",
        b"example.com\\",
        b"exa mple.com",
        b"a,b c",
        b"a:b",
        b"a:1:2",
        b"a:123456",
        b":443",
        b"[::1",
        b"[]",
        b"[::1]a",
        b"::1",
        b"caf\xe9",
        b"a\0",
    ],
)
def test_refuses_other_authorities(authority):
    assert reason(*replaced(b":authority", authority)) == ":authority"
    assert reason(METHOD, SCHEME, PATH, (b"host", authority))


def test_host_stands_in_for_the_authority_and_is_no_field_then():
    head = parse(METHOD, SCHEME, PATH, (b"a", b"b"), (b"host", b"example.com:8443"), (b"c", b"d"))
    assert head.authority == b"example.com:8443"
    assert head.fields == [(b"a", b"b"), (b"c", b"d")]


@pytest.mark.parametrize(
    ("scheme", "authority", "host"),
    [
        (b"https", b"example.com", b"example.com"),
        (b"https", b"example.com", b"EXAMPLE.COM"),
        (b"https", b"example.com", b"example.com:443"),
        (b"https", b"example.com:443", b"example.com"),
        (b"https", b"example.com:", b"example.com"),
        (b"http", b"example.com", b"example.com:80"),
        (b"https", b"[::1]:443", b"[::1]"),
    ],
)
def test_host_may_repeat_the_authority(scheme, authority, host):
    fields = [METHOD, (b":scheme", scheme), PATH, (b":authority", authority), (b"host", host)]
    head = parse(*fields, scheme=scheme)
    assert head.authority == authority
    assert head.fields == []


@pytest.mark.parametrize(
    "host",
    [b"", b"example.org", b"example.com:80", b"example.com.", b"example.com, a", b"a@example.com"],
)
def test_host_must_not_contradict_the_authority(host):
    assert reason(*HEAD, (b"host", host)) == "host is not :authority"


def test_refuses_two_hosts_even_if_equal():
    host = (b"host", b"example.com")
    assert reason(*HEAD, host, host) == "repeated host"
    assert reason(METHOD, SCHEME, PATH, host, host) == "repeated host"


# --- CONNECT -----------------------------------------------------------------------------------


def test_connect_has_an_authority_only():
    connect = (b":method", b"CONNECT")
    authority = (b":authority", b"example.com:443")
    head = parse(connect, authority, (b"a", b"b"))
    assert head[:5] == (b"CONNECT", b"https", authority[1], authority[1], [(b"a", b"b")])
    with_either = "CONNECT with :scheme or :path"
    assert reason(connect, authority, PATH) == with_either
    assert reason(connect, authority, SCHEME) == with_either
    assert reason(connect, authority, SCHEME, PATH) == with_either
    assert reason(connect) == "CONNECT without :authority"
    assert reason(connect, (b"host", b"example.com:443")) == "CONNECT without :authority"
    assert reason(connect, authority, (b":protocol", b"websocket")) == "pseudo-field out of place"


# --- names and values (rows 111, 112) ----------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"Accept",
        b"a b",
        b"a:",
        b"a\0",
        b"a\r",
        b"a\n",
        b"caf\xe9",
        b"a(",
        b"\x7f",
        b"a\t",
        b" a",
        b"a,",
    ],
)
def test_refuses_names_that_are_no_lower_case_tokens(name):
    assert reason(*HEAD, (name, b"x")) == "field name"


@pytest.mark.parametrize(
    "value",
    [
        b" a",
        b"a ",
        b"\ta",
        b"a\t",
        b" ",
        b"\t",
        b"a\0b",
        b"a\rb",
        b"a\nb",
        b"a\r\n b",
        b"\x07",
        b"a\x1f",
        b"\x7f",
        b"a\n",
    ],
)
@pytest.mark.parametrize(
    "name", [b"a", b"cookie", b"authorization", b"priority", b"host", b"content-length", b"te"]
)
def test_refuses_values_with_controls_or_white_edges(name, value):
    assert reason(*HEAD, (name, value)) == "field value"


@pytest.mark.parametrize("value", [b"", b"a", b"a b", b"a\t b", b"\x80\xff", b"!~", b"a" * 4000])
def test_takes_all_other_values(value):
    assert parse(*HEAD, (b"a", value)).fields == [(b"a", value)]


@pytest.mark.parametrize(
    "name", [b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"]
)
def test_refuses_connection_specific_fields(name):
    assert reason(*HEAD, (name, b"trailers")) == "connection-specific field"


def test_te_may_ask_for_trailers_only():
    assert parse(*HEAD, (b"te", b"trailers")).fields == [(b"te", b"trailers")]
    assert parse(*HEAD, (b"te", b"Trailers")).fields == [(b"te", b"Trailers")]
    for value in (b"", b"gzip", b"trailers, gzip", b"trailers;q=1"):
        assert reason(*HEAD, (b"te", value)) == "te other than trailers"


# --- content-length (row 110) ------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"0", b"7", b"007", b"9" * 18])
def test_reads_the_content_length_and_keeps_the_field(value):
    head = parse(*HEAD, (b"content-length", value))
    assert head.content_length == int(value)
    assert head.fields == [(b"content-length", value)]


@pytest.mark.parametrize(
    "value",
    [b"", b"-1", b"+1", b"1_0", b"1 0", b"1,1", b"1, 1", b"0x1", b"1.0", b"\xb2", b"9" * 19],
)
def test_refuses_other_content_lengths(value):
    assert reason(*HEAD, (b"content-length", value)) == "content-length repeated or not a number"


def test_refuses_two_content_lengths_even_if_equal():
    one = (b"content-length", b"1")
    assert reason(*HEAD, one, one) == "content-length repeated or not a number"
    assert reason(*HEAD, one, (b"content-length", b"2"))
    zero = (b"content-length", b"0")
    assert reason(*HEAD, zero, zero)


# --- cookies and priority (rows 114, 117) ------------------------------------------------------


def test_joins_cookie_crumbs_where_the_first_one_is():
    head = parse(
        *HEAD,
        (b"a", b"1"),
        (b"cookie", b"x=1"),
        (b"b", b"2"),
        (b"cookie", b"y=2"),
        (b"cookie", b""),
    )
    assert head.fields == [(b"a", b"1"), (b"cookie", b"x=1; y=2; "), (b"b", b"2")]
    assert parse(*HEAD, (b"cookie", b"x=1")).fields == [(b"cookie", b"x=1")]


def test_the_lines_of_the_priority_field_are_one_value():
    assert parse(*HEAD).priority_value is None
    assert parse(*HEAD, (b"priority", b"u=1")).priority_value == b"u=1"
    head = parse(*HEAD, (b"priority", b"u=1"), (b"a", b"b"), (b"priority", b"i"))
    assert head.priority_value == b"u=1, i"
    assert len(head.fields) == 3


# --- trailers ----------------------------------------------------------------------------------


def test_trailers_are_regular_fields():
    trailers = [
        (b"digest", b"x"),
        (b"server-timing", b"a"),
        (b"cookie", b"y"),
        (b"te", b"trailers"),
    ]
    for _ in range(2):
        assert parse_trailers(trailers) == trailers
    assert parse_trailers([]) == []


@pytest.mark.parametrize(
    "field",
    [
        METHOD,
        (b":status", b"200"),
        (b"Upper", b"x"),
        (b"a", b"x "),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"content-length", b"1"),
        (b"host", b"example.com"),
    ],
)
def test_refuses_trailers_that_are_malformed_frame_or_route(field):
    parse(*HEAD)
    for _ in range(2):
        with pytest.raises(MalformedRequest):
            parse_trailers([(b"a", b"b"), field])


# --- memory ------------------------------------------------------------------------------------


def test_memos_are_bounded_in_number():
    for number in range(requests._KNOWN_MAX + 10):
        text = b"%d" % number
        pseudo = [METHOD, SCHEME, (b":path", b"/" + text), (b":authority", text)]
        parse(*pseudo, (b"a", text))
        parse(*pseudo, (b"priority", text))
    for memo in (requests._ordinary, requests._targets, requests._authorities, requests._alone):
        assert 0 < len(memo) <= requests._KNOWN_MAX


def test_memos_are_bounded_in_size():
    long = b"x" * 600
    parse(
        METHOD,
        SCHEME,
        (b":path", b"/" + long),
        (b":authority", long),
        (b"a", long),
        (b"priority", long),
    )
    parse(METHOD, SCHEME, PATH, AUTHORITY, (b"priority", long))
    for memo in (requests._ordinary, requests._alone):
        assert not memo
    assert requests._targets == {PATH[1]}
    assert requests._authorities == {AUTHORITY[1]}


@pytest.mark.parametrize("name", [b"authorization", b"proxy-authorization", b"cookie"])
def test_credentials_are_not_remembered(name):
    parse(*HEAD, (name, b"secret"))
    assert not requests._ordinary
    assert not requests._alone
