import pytest

from edgeproxy.config.certificates import certificate_warnings, load_certificates
from edgeproxy.errors import ConfigError
from edgeproxy.tls.development import issue_leaf, make_ca
from tests.support.ca import LocalCa
from tests.support.configs import HEAD, judged

HOST = """
[[host]]
name = "{name}"
origin = "assets"
cert = {{ chain = "{cert}/fullchain.pem", key = "{key}/key.pem" }}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    ca = make_ca(folder / "ca")
    issue_leaf(ca, folder / "a", ("localhost", "a.localhost"))
    issue_leaf(ca, folder / "b", ("b.localhost",))
    (folder / "broken").mkdir()
    (folder / "broken" / "fullchain.pem").write_text("no certificate")
    (folder / "broken" / "key.pem").write_text("no key")
    return folder


def host(name, cert, key=None, more=""):
    return HOST.format(name=name, cert=cert, key=key or cert) + more


def identities(folder, text):
    loaded = judged(folder, HEAD + text)
    return load_certificates(loaded.config, loaded.document.problem)


def faults(folder, text):
    with pytest.raises(ConfigError) as caught:
        identities(folder, text)
    return [(p.line, p.path, p.message) for p in caught.value.problems]


def test_identities_come_in_the_order_of_the_hosts(made):
    text = host("b.localhost", "b") + host("localhost", "a")
    assert [identity.name for identity in identities(made, text)] == ["b.localhost", "localhost"]


def test_a_pair_of_files_is_loaded_once(made):
    text = host("localhost", "a") + host("a.localhost", "a")
    assert len(identities(made, text)) == 1


def test_a_chain_that_is_none_has_the_line_of_its_key(made):
    [(line, path, message)] = faults(made, host("localhost", "broken"))
    assert (line, path) == (12, "host.0.cert.chain")
    assert message.startswith(str(made / "broken" / "fullchain.pem"))


def test_a_key_of_another_certificate_is_the_keys_fault(made):
    [(_, path, _)] = faults(made, host("localhost", "a", key="b"))
    assert path == "host.0.cert.key"


def test_a_bad_pair_is_reported_once(made):
    text = host("localhost", "broken") + host("a.localhost", "broken")
    assert len(faults(made, text)) == 1


def test_every_name_needs_a_certificate(made):
    text = host("localhost", "a", more='aliases = ["b.localhost", "c.localhost"]\n')
    assert faults(made, text + host("b.localhost2", "b")) == [
        (13, "host.0.aliases", "no certificate covers c.localhost"),
        (16, "host.1.name", "no certificate covers b.localhost2"),
    ]


def test_a_name_may_be_covered_by_another_hosts_certificate(made):
    text = host("localhost", "a", more='aliases = ["x.localhost"]\n').replace("x.", "b.")
    other = host("c.localhost", "b", more="")
    assert [path for _, path, _ in faults(made, text + other)] == ["host.1.name"]


def test_without_a_document_a_fault_still_names_its_key(made):
    loaded = judged(made, HEAD + host("localhost", "broken"))
    with pytest.raises(ConfigError, match=r"configuration: host\.0\.cert\.chain"):
        load_certificates(loaded.config)


def test_a_host_without_files_is_for_lint_to_report(made):
    loaded = judged(made, HEAD + host("localhost", "a"))
    bare = loaded.config.host[0].model_copy(update={"cert": None})
    config = loaded.config.model_copy(update={"host": (*loaded.config.host, bare)})
    assert len(load_certificates(config)) == 1


def in_folder(site, leaf, kind=""):
    site.mkdir(parents=True, exist_ok=True)
    suffix = f"-{kind}" if kind else ""
    leaf.chain_path.rename(site / f"fullchain{suffix}.pem")
    leaf.key_path.rename(site / f"key{suffix}.pem")


FOLDER = """
[tls]
certs_dir = "certs"

[[host]]
name = "localhost"
origin = "assets"
"""


@pytest.mark.parametrize("kinds", [("", "rsa"), ("ecdsa", "rsa"), ("ecdsa", "")])
def test_a_folder_may_hold_both_kinds(tmp_path, kinds):
    ca = LocalCa(tmp_path / "ca")
    for kind, key in zip(kinds, ("ecdsa", "rsa"), strict=True):
        in_folder(tmp_path / "certs" / "localhost", ca.issue("localhost", key=key), kind)
    [identity] = identities(tmp_path, FOLDER)
    assert [credential.kind for credential in identity.credentials] == ["ecdsa", "rsa"]
    assert identity.credentials[0].issuer is None


def test_an_issuer_lies_beside_them(tmp_path):
    ca = LocalCa(tmp_path / "ca")
    site = tmp_path / "certs" / "localhost"
    in_folder(site, ca.issue("localhost"))
    ca.path.rename(site / "issuer.pem")
    [identity] = identities(tmp_path, FOLDER)
    assert identity.credentials[0].issuer == ca.certificate


def test_the_fault_of_the_second_pair_has_its_own_line(made):
    pair = '{{ chain = "{0}/fullchain.pem", key = "{0}/key.pem" }}'
    text = f"""
[[host]]
name = "localhost"
origin = "assets"
cert = [
  {pair.format("a")},
  {pair.format("broken")},
]
"""
    [(line, path, message)] = faults(made, text)
    assert (line, path) == (14, "host.0.cert.1.chain")
    assert message.startswith(str(made / "broken" / "fullchain.pem"))


def test_what_is_unwise_about_a_key_is_a_warning_at_its_line(tmp_path):
    leaf = LocalCa(tmp_path / "ca").issue("localhost", directory=tmp_path / "a")
    leaf.key_path.chmod(0o644)
    loaded = judged(tmp_path, HEAD + host("localhost", "a"))
    found = load_certificates(loaded.config, loaded.document.problem)
    [warning] = certificate_warnings(loaded.config, found, loaded.document.problem)
    assert (warning.line, warning.path) == (12, "host.0.cert.key")
    assert warning.message.startswith(f"{leaf.key_path}: everybody on this machine may read it")
