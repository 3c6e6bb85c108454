"""Tests for edgeproxy/cli/certs_report.py."""

from datetime import UTC, datetime

import pytest

from edgeproxy.cli.certs_disk import OnDisk
from edgeproxy.cli.certs_report import lines, problems
from tests.support.status import about_ocsp, iso, served

NOW = 1_800_000_000.0
SHA = "ab" * 32
DISK = OnDisk("localhost", (SHA,), ("localhost",), datetime.fromtimestamp(NOW + 9e5, UTC))


def test_all_is_well():
    assert problems(served(NOW), [DISK], NOW) == []
    assert list(lines(served(NOW), [DISK], NOW)) == [
        f"localhost: localhost (since {iso(NOW)})",
        "  ecdsa abababababababab, 2027-01-14 to 2027-02-14 (30 d left), by CN=test root",
        "    staple: none, the certificate names no responder",
        f"  last load: loaded at {iso(NOW)}",
        "  on disk: the same",
    ]


def test_all_that_there_is_to_say():
    document = served(
        NOW,
        ocsp=about_ocsp(NOW),
        is_withheld=True,
        last_load={"at": iso(NOW), "result": "failed", "detail": "no key"},
        previous={"sha256": ["cd" * 32], "until": "later"},
    )
    text = "\n".join(lines(document, [], NOW))
    assert "staple: there (24 h left)" in text
    assert "last result good at" in text
    assert "next at" in text
    assert "withheld: not served now" in text
    assert "failed at" in text
    assert ": no key" in text
    assert "previous: cdcdcdcdcdcdcdcd, to go back to until later" in text


def test_a_responder_that_was_not_asked_yet():
    ocsp = {"responder": "http://a", "last_result": None, "staple": None}
    assert "    staple: none; not asked yet" in list(lines(served(NOW, ocsp=ocsp), [], NOW))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ends": -1}, "the ecdsa certificate served has expired"),
        ({"is_withheld": True}, "withheld: the certificate requires a staple, and there is none"),
        ({"last_load": {"result": "failed"}}, "the last load failed: no reason given"),
        ({"last_load": {"result": "kept", "detail": "x"}}, "the last load failed: x"),
        ({"ocsp": about_ocsp(NOW, ends=-1)}, "the staple of the ecdsa certificate has expired"),
        ({"ocsp": about_ocsp(NOW, result="revoked")}, "the ecdsa certificate is revoked"),
        (
            {"ocsp": about_ocsp(NOW, result="timeout", ends=None)},
            "no staple for the ecdsa certificate: timeout",
        ),
        (
            {"ocsp": about_ocsp(NOW, result=None, ends=None, must_staple=True)},
            "no staple for the ecdsa certificate, which requires one",
        ),
        (
            {"sha256": "cd" * 32},
            f"on disk differs from what is served: {SHA[:16]} on disk, {'cd' * 8} served",
        ),
    ],
)
def test_every_problem(changes, message):
    assert problems(served(NOW, **changes), [DISK], NOW) == [f"localhost: {message}"]


def test_a_failed_refresh_is_no_problem_while_there_is_a_staple():
    ocsp = about_ocsp(NOW, result="timeout")
    assert problems(served(NOW, ocsp=ocsp), [DISK], NOW) == []


def test_a_pair_on_disk_that_is_bad():
    bad = OnDisk("localhost", problem="key.pem: no such file")
    assert problems(None, [bad], NOW) == [
        "localhost: the pair on disk is bad: key.pem: no such file"
    ]
    assert list(lines(None, [bad], NOW)) == ["localhost: on disk: bad"]


def test_hosts_of_the_same_files_are_one_identity():
    twin = OnDisk("a.localhost", (SHA,), ("a.localhost",), DISK.not_after)
    other = OnDisk("b.localhost", ("ef" * 32,), ("b.localhost",), DISK.not_after)
    assert problems(served(NOW), [DISK, twin, other], NOW) == [
        "b.localhost: on disk, but not served"
    ]


def test_the_files_alone():
    assert problems(None, [DISK], NOW) == []
    assert list(lines(None, [DISK], NOW)) == [
        "localhost: localhost",
        "  on disk: abababababababab, until 2027-01-25 (10 d left)",
    ]


@pytest.mark.parametrize(
    "document",
    [{}, {"identities": 3}, {"identities": [3, {}]}, {"identities": [{"credentials": [{}]}]}],
)
def test_a_document_of_another_version_is_no_fault_of_ours(document):
    assert isinstance(problems(document, [DISK], NOW), list)
    assert isinstance(list(lines(document, [DISK], NOW)), list)


def test_times_that_are_none():
    document = served(NOW)
    document["identities"][0]["credentials"][0]["not_after"] = "soon"
    assert problems(document, [DISK], NOW) == []
