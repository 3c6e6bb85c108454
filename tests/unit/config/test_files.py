import os

from edgeproxy.config.document import parse
from edgeproxy.config.files import certificate_files, findings, identity_sources
from edgeproxy.config.load import judge
from edgeproxy.tls.identity import IdentitySource, KeyPairFiles
from tests.support.configs import HEAD, HOST, files, messages
from tests.support.privileges import without_privileges

BARE_HOST = '\n[[host]]\nname = "www.example"\norigin = "assets"\n'
FOLDER = '\n[tls]\ncerts_dir = "certs"\n'


def found(folder, text):
    return [m.partition(" ")[2] for m in messages(folder, text)]


def certs(folder, *names):
    site = folder / "certs" / "www.example"
    site.mkdir(parents=True)
    for name in names:
        (site / name).touch()


def test_each_file_that_is_not_there_is_named(tmp_path):
    text = HEAD + HOST.replace('"chain.pem"', '"no.pem"').replace('"key.pem"', '"sub/no.key"')
    assert found(tmp_path, text) == [
        f"host.0.cert.chain: there is no file {tmp_path}/no.pem",
        f"host.0.cert.key: there is no file {tmp_path}/sub/no.key",
    ]


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "d").mkdir()
    text = HEAD + HOST.replace('"chain.pem"', '"d"')
    assert found(tmp_path, text) == [f"host.0.cert.chain: {tmp_path}/d is not a file"]


def test_a_file_that_we_may_not_read(tmp_path, monkeypatch):
    # Root may read anything, so the system's answer is stood in for.
    monkeypatch.setattr(os, "access", lambda path, _mode: path.name != "key.pem")
    assert found(tmp_path, HEAD + HOST) == [
        f"host.0.cert.key: no permission to read {tmp_path}/key.pem"
    ]


def test_a_folder_that_we_may_not_search(tmp_path):
    certs(tmp_path, "fullchain.pem", "key.pem")
    config = judge(parse(HEAD + FOLDER + BARE_HOST, file="x", base=tmp_path, environ={})).config
    site = tmp_path / "certs" / "www.example"
    tmp_path.chmod(0)
    with without_privileges():
        found = [message for _, message, _ in findings(config)]
    tmp_path.chmod(0o700)
    assert found == [
        f"no permission to read {site}/fullchain.pem",
        f"no permission to read {site}/key.pem",
    ]


def test_a_host_needs_a_certificate_from_somewhere(tmp_path):
    assert found(tmp_path, HEAD + BARE_HOST) == [
        "host.0.name: www.example has no certificate: neither cert nor tls.certs_dir is there"
    ]


def test_the_folder_of_certificates_has_one_for_each_host(tmp_path):
    certs(tmp_path, "fullchain.pem")
    path = tmp_path / "certs" / "www.example" / "key.pem"
    assert found(tmp_path, HEAD + FOLDER + BARE_HOST) == [f"host.0.name: there is no file {path}"]


def test_a_missing_folder_is_one_problem_for_all_hosts(tmp_path):
    assert found(tmp_path, HEAD + FOLDER + BARE_HOST) == [
        f"tls.certs_dir: there is no folder {tmp_path}/certs"
    ]


def test_authorities_of_an_origin_are_there(tmp_path):
    text = HEAD + 'tls = { ca_file = "none.pem" }\n' + HOST
    assert found(tmp_path, text) == [
        f"origin.assets.tls.ca_file: there is no file {tmp_path}/none.pem"
    ]


def test_the_files_of_a_host_are_its_own_or_in_the_folder(tmp_path):
    certs(files(tmp_path), "fullchain.pem", "key.pem")
    text = HEAD + FOLDER + HOST + BARE_HOST.replace("www.example", "b.example")
    (tmp_path / "certs" / "www.example").rename(tmp_path / "certs" / "b.example")
    config = judge(parse(text, file="edge.toml", base=tmp_path, environ={})).config
    assert certificate_files(config, 0) == (
        (tmp_path / "chain.pem", ("host", 0, "cert", "chain")),
        (tmp_path / "key.pem", ("host", 0, "cert", "key")),
    )
    folder, loc = tmp_path / "certs" / "b.example", ("host", 1, "name")
    assert certificate_files(config, 1) == (
        (folder / "fullchain.pem", loc),
        (folder / "key.pem", loc),
    )


def test_without_any_certificate_there_are_no_files(tmp_path):
    config = judge(parse(HEAD + HOST, file="x", base=files(tmp_path), environ={})).config
    bare = config.model_copy(update={"host": (config.host[0].model_copy(update={"cert": None}),)})
    assert certificate_files(bare, 0) == ()
    assert identity_sources(bare) == ()


BOTH = """
[[host]]
name = "www.example"
origin = "assets"
cert = [
  { chain = "chain.pem", key = "key.pem" },
  { chain = "rsa.pem", key = "rsa-key.pem", issuer = "issuer.pem" },
]
"""


def test_every_file_of_two_certificates_is_looked_for(tmp_path):
    assert messages(tmp_path, HEAD + BOTH) == [
        f"14 host.0.cert.1.chain: there is no file {tmp_path}/rsa.pem",
        f"14 host.0.cert.1.key: there is no file {tmp_path}/rsa-key.pem",
        f"14 host.0.cert.1.issuer: there is no file {tmp_path}/issuer.pem",
    ]


def test_every_file_of_a_folder_is_looked_for(tmp_path):
    certs(tmp_path, "fullchain.pem", "key.pem", "fullchain-rsa.pem", "issuer.pem")
    path = tmp_path / "certs" / "www.example" / "key-rsa.pem"
    assert found(tmp_path, HEAD + FOLDER + BARE_HOST) == [f"host.0.name: there is no file {path}"]


def sources(folder, text):
    return identity_sources(judge(parse(text, file="x", base=files(folder), environ={})).config)


def test_hosts_with_the_same_files_share_an_identity(tmp_path):
    one = HOST.replace("www.example", "a.example") + 'aliases = ["b.example"]\n'
    other = HOST.replace("www.example", "c.example") + 'aliases = ["d.example"]\n'
    pairs = (KeyPairFiles(tmp_path / "chain.pem", tmp_path / "key.pem"),)
    hosts = ("a.example", "b.example", "c.example", "d.example")
    assert sources(tmp_path, HEAD + one + other) == (IdentitySource("a.example", pairs, hosts),)


def test_two_certificates_are_one_identity(tmp_path):
    for name in ("rsa.pem", "rsa-key.pem", "issuer.pem"):
        (tmp_path / name).touch()
    [source] = sources(tmp_path, HEAD + BOTH)
    assert source.pairs[1] == KeyPairFiles(
        tmp_path / "rsa.pem", tmp_path / "rsa-key.pem", tmp_path / "issuer.pem"
    )


def test_a_folder_is_looked_into_again(tmp_path):
    certs(tmp_path, "fullchain.pem", "key.pem")
    [source] = sources(tmp_path, HEAD + FOLDER + BARE_HOST)
    assert source.folder == tmp_path / "certs" / "www.example"
    assert len(source.pairs) == 1
    (source.folder / "key-rsa.pem").touch()
    assert len(source.pairs_now()) == 2
