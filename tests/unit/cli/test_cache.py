import json

from edgeproxy.cli.shell import FAILED, OK, UNAVAILABLE
from tests.support.cli import config_file, invoke
from tests.unit.store.disk.test_inspection import filled

DISK = '\n[cache.disk]\npath = "cache"\nsize = "16MiB"\n'


def test_a_tier_is_shown_verified_and_cleared(tmp_path):
    path = config_file(tmp_path, more=DISK)
    filled(tmp_path / "cache")
    assert json.loads(invoke("cache", "stats", "--json", "-c", path).stdout)["objects"] == 3
    assert "3 stored responses" in invoke("cache", "stats", "-c", path).stdout
    assert invoke("cache", "verify", "-c", path).exit_code == OK
    assert json.loads(invoke("cache", "clear", "--json", "-c", path).stdout)["removed"] == 3


def test_a_disagreement_is_a_failed_check(tmp_path):
    path = config_file(tmp_path, more=DISK)
    filled(tmp_path / "cache")
    for file in (tmp_path / "cache" / "bodies").rglob("*"):
        if file.is_file():
            file.write_bytes(b"?")
    assert invoke("cache", "verify", "-c", path).exit_code == FAILED
    assert invoke("cache", "verify", "--repair", "-c", path).exit_code == FAILED
    assert invoke("cache", "verify", "-c", path).exit_code == OK


def test_where_there_is_no_tier(tmp_path):
    assert invoke("cache", "stats", "-c", config_file(tmp_path)).exit_code == UNAVAILABLE
    assert invoke("cache", "stats", "-c", config_file(tmp_path, more=DISK)).exit_code == UNAVAILABLE
