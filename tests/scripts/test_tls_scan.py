"""The scan fails on what scanners find, on what they did not look at, and on nothing else."""

from xml.etree import ElementTree as Xml

import pytest

from tests.support.tls_scan import REQUIRED, Finding, missing, of_sslscan, of_testssl, table

PROTOCOLS = [("ssl", "2"), ("ssl", "3"), ("tls", "1.0"), ("tls", "1.1"), ("tls", "1.2")]


def report(*, enabled: str = "1.3", more: str = "") -> Xml.Element:
    protocols = "".join(
        f'<protocol type="{kind}" version="{version}" enabled="{int(version == enabled)}"/>'
        for kind, version in [*PROTOCOLS, ("tls", "1.3")]
    )
    return Xml.fromstring(f"<document><ssltest>{protocols}{more}</ssltest></document>")


def whole() -> list[Finding]:
    found = [
        {"id": name, "severity": "OK", "finding": f"{text} "} for name, text in REQUIRED.items()
    ]
    return of_testssl(found) + of_sslscan(report())


def test_a_scan_that_saw_all_and_found_nothing_is_content():
    assert missing(whole()) == []
    assert not any(each.is_fault for each in whole())


@pytest.mark.parametrize("severity", ["MEDIUM", "HIGH", "CRITICAL", "FATAL", "WARN"])
def test_medium_and_above_and_what_could_not_be_scanned_are_faults(severity):
    (finding,) = of_testssl([{"id": "BREACH", "severity": severity, "finding": "bad"}])
    assert finding.is_fault
    assert "**?**" in table([finding])


def test_what_is_expected_is_so_of_one_scanner_only():
    found = [{"id": "BREACH", "severity": "MEDIUM", "finding": "compressed"}]
    (expected,) = of_testssl(found, "testssl.sh --breach")
    assert expected.why
    assert not expected.is_fault


def test_a_scan_that_broke_off_is_no_good_scan():
    assert missing(whole()[1:]) == ["SSLv2: not looked at, wanted: not offered"]
    assert missing(whole()[:-1]) == ["sslscan saw no protocols"]


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (report(enabled="1.2"), "protocol tlsv1.2"),
        (report(enabled="3"), "protocol SSLv3"),
        (report(enabled="1.2"), "protocol tlsv1.3"),
        (
            report(more='<cipher sslversion="TLSv1.2" bits="112" cipher="3DES" strength="weak"/>'),
            "cipher 3DES",
        ),
        (report(more='<group sslversion="TLSv1.3" bits="80" name="p160"/>'), "group p160"),
        (report(more='<heartbleed vulnerable="1"/>'), "heartbleed"),
        (report(more='<compression supported="1"/>'), "compression"),
    ],
)
def test_what_sslscan_sees_is_judged_here(document, name):
    assert name in [each.name for each in of_sslscan(document) if each.is_fault]
