import os

from edgeproxy.config.document import parse
from edgeproxy.config.files import certificate_files
from edgeproxy.config.load import judge
from tests.support.configs import HEAD, HOST, files, messages

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
    own, shared = certificate_files(config, 0), certificate_files(config, 1)
    assert (own.chain, own.key_loc) == (tmp_path / "chain.pem", ("host", 0, "cert", "key"))
    assert shared.chain == tmp_path / "certs" / "b.example" / "fullchain.pem"
    assert shared.key_loc == ("host", 1, "name")


def test_without_any_certificate_there_are_no_files(tmp_path):
    config = judge(parse(HEAD + HOST, file="x", base=files(tmp_path), environ={})).config
    bare = config.model_copy(update={"host": (config.host[0].model_copy(update={"cert": None}),)})
    assert certificate_files(bare, 0) is None
