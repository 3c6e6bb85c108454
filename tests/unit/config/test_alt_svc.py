import pytest

from tests.support.configs import HEAD, HOST, judged


def warnings(folder, lines, address="127.0.0.1:8443"):
    head = HEAD.replace('https = "127.0.0.1:8443"', f'https = "{address}"\n{lines}')
    return [f"{w.line} {w.path}: {w.message}" for w in judged(folder, head + HOST).warnings]


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "http3 = false",
        'http3 = false\nalt_svc = "clear"',
        'http3 = false\nalt_svc = "none"',
        "http3 = true",
        'http3 = true\nalt_svc = "advertise"\nalt_svc_max_age = "1m"\nalt_svc_port = 8443',
    ],
)
def test_what_is_of_use_is_not_spoken_of(tmp_path, lines):
    assert warnings(tmp_path, lines) == []


def test_early_data_where_there_can_be_none(tmp_path):
    said = "early_data = true\nhttp3 = "
    [warning] = warnings(tmp_path, f"{said}false")
    assert warning == "5 listen.early_data: has no effect: `http3` is false"
    assert warnings(tmp_path, f"{said}true") == []
    [warning] = warnings(tmp_path, f'{said}true\n[tls]\nticket_lifetime = "0s"')
    assert warning == "5 listen.early_data: has no effect: `tls.ticket_lifetime` is 0"


def test_what_is_said_of_http3_where_there_is_none(tmp_path):
    said = 'alt_svc = "advertise"\nalt_svc_max_age = "1h"\nalt_svc_port = 443'
    assert warnings(tmp_path, said) == [
        "5 listen.alt_svc: has no effect: `http3` is false",
        "6 listen.alt_svc_max_age: has no effect: `http3` is false",
        "7 listen.alt_svc_port: has no effect: `http3` is false",
    ]
    [warning] = warnings(tmp_path, 'alt_svc = "clear"\nalt_svc_port = 443')
    assert warning == "6 listen.alt_svc_port: has no effect: `http3` is false"


@pytest.mark.parametrize(
    ("said", "why"), [("none", "nobody is told that HTTP/3 is there"), ("clear", "told to forget")]
)
def test_http3_that_nobody_is_called_to(tmp_path, said, why):
    found = warnings(tmp_path, f'http3 = true\nalt_svc = "{said}"\nalt_svc_max_age = "30d"')
    assert found[0].startswith("6 listen.alt_svc: ")
    assert why in found[0]
    assert found[1:] == [f'7 listen.alt_svc_max_age: has no effect: `alt_svc` is "{said}"']


def test_another_port_than_the_one_that_is_heard(tmp_path):
    [warning] = warnings(tmp_path, "http3 = true\nalt_svc_port = 443")
    assert warning == (
        "6 listen.alt_svc_port: clients are sent to UDP port 443: "
        "make sure that it leads to 127.0.0.1:8443"
    )
    found = warnings(tmp_path, "http3 = true\nalt_svc_port = 8443", "[::]:443")
    assert "make sure that it leads to [::]:443" in found[0]
    assert "Chromium follows no Alt-Svc from a port below 1024" in found[1]


def test_what_is_forgotten_at_once(tmp_path):
    [warning] = warnings(tmp_path, 'http3 = true\nalt_svc_max_age = "0s"')
    assert "forget at once" in warning
