import pytest

from edgeproxy.cli.loading import load_all
from edgeproxy.errors import ConfigError
from tests.support.cli import certified, config_file


def test_a_configuration_comes_with_its_certificates_and_what_is_unwise(tmp_path):
    path = config_file(certified(tmp_path))
    (tmp_path / "leaf" / "key.pem").chmod(0o644)
    found = load_all(path)
    assert found.config.pop.name == "test1"
    assert [identity.name for identity in found.identities] == ["localhost"]
    [warning] = found.warnings
    assert (warning.file, warning.path) == (str(path), "host.0.cert.key")


def test_a_bad_certificate_is_a_fault_with_its_line(tmp_path):
    path = config_file(certified(tmp_path))
    (tmp_path / "leaf" / "key.pem").write_text("nothing")
    with pytest.raises(ConfigError, match=r"edge\.toml:16: host\.0\.cert"):
        load_all(path)
