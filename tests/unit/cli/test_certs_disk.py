"""Tests for edgeproxy/cli/certs_disk.py."""

from edgeproxy.cli.certs_disk import on_disk
from edgeproxy.config.load import inspect
from tests.support.cli import certified, config_file

OTHER = """
[[host]]
name = "c.localhost"
origin = "assets"
cert = { chain = "none/fullchain.pem", key = "none/key.pem" }
"""


def test_each_host_by_itself(tmp_path):
    path = config_file(certified(tmp_path), more=OTHER)
    good, bad = on_disk(inspect(path, has_files=False).config)
    assert (good.name, good.names, good.problem) == ("localhost", ("localhost", "a.localhost"), "")
    [sha256] = good.fingerprints
    assert good.as_json() == {
        "name": "localhost",
        "names": ["localhost", "a.localhost"],
        "sha256": [sha256],
        "not_after": good.not_after.isoformat(),
        "problem": None,
    }
    assert bad.name == "c.localhost"
    assert "none/fullchain.pem" in bad.problem
    assert bad.as_json()["not_after"] is None
