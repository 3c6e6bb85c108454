"""Tests for edgeproxy/cli/certs_verify.py: against real servers on loopback."""

import json
import ssl
import threading

import pytest

from edgeproxy.cli.shell import CONFIGURATION, FAILED, OK
from edgeproxy.probe.certificates import fingerprint
from tests.support.ca import LocalCa
from tests.support.cli import invoke, run_program
from tests.support.ocsp_answers import OcspAnswers
from tests.support.tls_servers import closed_port, listening, old_server, tls_server

USAGE = 2


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("verify"))


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("a.test")


@pytest.fixture(scope="module")
def old_leaf(ca):
    return ca.issue("a.test", starts_in_days=-60)


@pytest.fixture(scope="module")
def rsa_leaf(ca):
    return ca.issue("a.test", key="rsa")


def verify(ca, *ports, options=(), sni="a.test", call=invoke):
    places = [f"127.0.0.1:{port}" for port in ports]
    return call("certs", "verify", "--ca-file", ca.path, "--sni", sni, *options, *places)


def findings(result):
    marked = [line for line in result.stdout.splitlines() if line.startswith("finding: ")]
    return [line.removeprefix("finding: ") for line in marked]


def test_three_that_are_the_same(ca, leaf, rsa_leaf):
    with (
        tls_server(leaf, rsa_leaf) as one,
        tls_server(leaf, rsa_leaf) as two,
        tls_server(leaf, rsa_leaf) as three,
    ):
        result = verify(ca, one, two, three)
    assert result.exit_code == OK
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        *("ADDRESS", "NAME", "KEY", "TLS", "GROUP", "SHA-256", "EXPIRES", "STAPLE", "RESUMES")
    ]
    assert [line.split()[2:5] for line in lines[1:7]] == [
        ["ecdsa", "1.3", "X25519MLKEM768"],
        ["rsa", "1.3", "X25519MLKEM768"],
    ] * 3
    assert all(line.endswith("yes") for line in lines[1:7])
    assert lines[-1] == "ok: 3 addresses, all valid and the same"


def test_the_one_that_still_has_the_old_certificate_is_named(ca, leaf, old_leaf):
    with tls_server(leaf) as one, tls_server(old_leaf) as two, tls_server(leaf) as three:
        result = verify(ca, one, two, three)
    assert result.exit_code == FAILED
    [found] = findings(result)
    assert found.startswith(f"127.0.0.1:{two} a.test ecdsa: has an older certificate (")
    assert "than 2 other addresses" in found
    assert result.stdout.splitlines()[-1] == "failed: 1 finding at 3 addresses"


def test_of_two_the_older_one_is_named(ca, leaf, old_leaf):
    with tls_server(old_leaf) as one, tls_server(leaf) as two:
        [found] = findings(verify(ca, one, two))
    assert found.startswith(f"127.0.0.1:{one} a.test ecdsa: has an older certificate (")


def test_the_program_itself(ca, leaf, old_leaf):
    with tls_server(leaf) as one, tls_server(leaf) as two, tls_server(old_leaf) as three:
        result = verify(ca, one, two, three, call=run_program)
        fine = verify(ca, one, two, call=run_program)
    assert result.returncode == FAILED
    [found] = findings(result)
    assert f"127.0.0.1:{three}" in found
    assert fine.returncode == OK
    assert fine.stderr == ""


def test_one_that_is_down_does_not_stop_the_others(ca, leaf):
    down = closed_port()
    with tls_server(leaf) as one, tls_server(leaf) as two:
        result = verify(ca, one, down, two)
    assert result.exit_code == FAILED
    assert findings(result) == [f"127.0.0.1:{down} a.test: failed: connection refused"]


def test_one_that_says_nothing(ca, leaf):
    gone = threading.Event()
    with tls_server(leaf) as one, listening(lambda _client: gone.wait(20)) as silent:
        result = verify(ca, one, silent, options=("--timeout", "0.5"))
        gone.set()
    assert findings(result) == [f"127.0.0.1:{silent} a.test: failed: no answer within 0.5 s"]


def test_an_old_version_of_tls_is_found(ca, leaf):
    versions = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    with tls_server(leaf) as one, old_server(leaf, *versions) as two:
        result = verify(ca, one, two)
    assert findings(result) == [f"127.0.0.1:{two} a.test: accepts TLS 1.2"]
    assert "1.3, 1.2" in result.stdout


def test_another_name_and_an_expired_certificate(ca, leaf):
    with tls_server(leaf) as one, tls_server(ca.issue("a.test", days=-2)) as two:
        other_name = verify(ca, one, sni="b.test")
        expired = verify(ca, two)
    assert findings(other_name) == [
        f"127.0.0.1:{one} b.test ecdsa: the certificate is not for b.test but for a.test"
    ]
    [found] = findings(expired)
    assert found.startswith(f"127.0.0.1:{two} a.test ecdsa: CN=a.test expired on ")


def test_days_that_are_left(ca, leaf):
    with tls_server(leaf) as one:
        assert verify(ca, one, options=("--min-days", "29")).exit_code == OK
        [found] = findings(verify(ca, one, options=("--min-days", "31")))
    assert "the certificate expires in 30.0 days, wanted are 31" in found


def test_an_authority_that_is_not_trusted(ca, leaf, tmp_path):
    with tls_server(leaf) as one:
        other = LocalCa(tmp_path, "other root")
        [found] = findings(verify(other, one))
        fine = verify(other, one, options=("--insecure",))
    assert "the chain is not trusted: unable to get local issuer certificate" in found
    assert fine.exit_code == OK


def test_a_staple_that_is_missing_at_one(ca, leaf):
    staple = OcspAnswers(ca).about(leaf.certificate)
    with tls_server(leaf, staple=staple) as one, tls_server(leaf) as two:
        result = verify(ca, one, two)
        alone = verify(ca, one, options=("--require-staple",))
        without = verify(ca, two, options=("--require-staple",))
    assert findings(result) == [
        f"127.0.0.1:{two} a.test ecdsa: sends no staple, unlike another address"
    ]
    assert alone.exit_code == OK
    assert "good (4 d)" in alone.stdout
    assert findings(without) == [f"127.0.0.1:{two} a.test ecdsa: no staple"]


@pytest.mark.parametrize("mode", ["revoked", "expired"])
def test_a_staple_that_is_not_good(ca, leaf, mode):
    with tls_server(leaf, staple=OcspAnswers(ca).about(leaf.certificate, mode)) as one:
        [found] = findings(verify(ca, one))
    assert found == f"127.0.0.1:{one} a.test ecdsa: the staple is not good: {mode}"


def test_a_staple_whose_issuer_is_not_sent_nor_known(ca, leaf):
    with tls_server(leaf, staple=OcspAnswers(ca).about(leaf.certificate)) as one:
        [found] = findings(verify(ca, one, options=("--insecure",)))
    assert found.endswith("the staple cannot be judged: the chain sent lacks the issuer")


def test_a_certificate_that_requires_a_staple(ca):
    with tls_server(ca.issue("a.test", must_staple=True)) as one:
        [found] = findings(verify(ca, one))
    assert found.endswith("no staple, which the certificate requires")


def test_a_type_of_key_that_is_missing_at_one(ca, leaf, rsa_leaf):
    with tls_server(leaf, rsa_leaf) as one, tls_server(leaf) as two:
        result = verify(ca, one, two)
        alone = verify(ca, two)
        wanted = verify(ca, two, options=("--key-type", "rsa"))
        both = verify(ca, one, options=("--key-type", "rsa", "--key-type", "ecdsa"))
    assert findings(result) == [
        f"127.0.0.1:{two} a.test rsa: has no rsa certificate, which another address has"
    ]
    assert alone.exit_code == OK
    [found] = findings(wanted)
    assert found.startswith(f"127.0.0.1:{two} a.test rsa: failed: ")
    assert both.exit_code == OK


def test_a_chain_that_is_shorter_at_one(ca):
    intermediate = ca.intermediate()
    whole = intermediate.issue("a.test")
    with (
        tls_server(whole, chain=whole.chain[1:]) as one,
        tls_server(whole, chain=whole.chain[1:]) as two,
        tls_server(whole) as three,
    ):
        found = findings(verify(ca, one, two, three))
    where = f"127.0.0.1:{three} a.test ecdsa"
    assert found == [
        f"{where}: the chain is not trusted: unable to get local issuer certificate",
        f"{where}: sends 0 other certificates after its own, 2 other addresses 1",
    ]


def test_fingerprints_that_are_expected(ca, leaf, old_leaf):
    wanted = fingerprint(leaf.certificate).upper()
    colons = ":".join(wanted[at : at + 2] for at in range(0, 64, 2))
    with tls_server(leaf) as one, tls_server(old_leaf) as two:
        fine = verify(ca, one, options=("--expect-fingerprint", colons))
        bad = verify(ca, one, two, options=("--expect-fingerprint", wanted))
    assert fine.exit_code == OK
    other = fingerprint(old_leaf.certificate)[:16]
    assert findings(bad) == [
        f"127.0.0.1:{two} a.test ecdsa: the certificate {other} is not one of those expected"
    ]


def test_a_name_stands_for_its_addresses_and_is_what_is_asked_for(ca):
    with tls_server(ca.issue("localhost")) as port:
        result = invoke("certs", "verify", "--ca-file", ca.path, "--json", f"localhost:{port}")
    targets = json.loads(result.stdout)["targets"]
    [there] = [each for each in targets if each["address"] == f"127.0.0.1:{port}"]
    assert (there["given"], there["name"]) == (f"localhost:{port}", "localhost")


def test_an_address_is_asked_without_a_name(ca):
    with tls_server(ca.issue("127.0.0.1")) as port:
        result = invoke("certs", "verify", "--ca-file", ca.path, f"127.0.0.1:{port}")
    assert result.exit_code == OK
    assert result.stdout.splitlines()[-1] == "ok: 1 address, all valid and the same"


def test_for_machines(ca, leaf, old_leaf):
    with tls_server(leaf) as one, tls_server(leaf) as two, tls_server(old_leaf) as three:
        result = verify(ca, one, two, three, options=("--json",))
    assert result.exit_code == FAILED
    report = json.loads(result.stdout)
    assert report["ok"] is False
    assert [each["count"] for each in report["certificates"]] == [2, 1]
    [finding] = report["findings"]
    assert finding["address"] == f"127.0.0.1:{three}"
    first = report["targets"][0]
    assert first["old_versions"] == dict.fromkeys(("TLSv1.2", "TLSv1.1", "TLSv1"), "refused")
    assert first["resumes"] is True
    assert [each["outcome"] for each in first["credentials"]] == ["done", "absent"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a b",),
        ("127.0.0.1:0",),
        ("a.test", "--sni", "-"),
        ("a.test", "--expect-fingerprint", "abc"),
        ("a.test", "--key-type", "dsa"),
        ("a.test", "--timeout", "0"),
        ("a.test", "--ca-file", "no-such-file"),
    ],
)
def test_wrong_usage(arguments):
    assert invoke("certs", "verify", *arguments).exit_code == USAGE


def test_a_file_of_authorities_that_holds_none(tmp_path):
    (tmp_path / "ca.pem").write_text("junk")
    result = invoke("certs", "verify", "--ca-file", tmp_path / "ca.pem", "127.0.0.1")
    assert result.exit_code == CONFIGURATION


def test_a_name_that_does_not_resolve(ca):
    result = invoke("certs", "verify", "nowhere.invalid")
    assert result.exit_code == FAILED
    assert "its name does not resolve" in result.stdout
