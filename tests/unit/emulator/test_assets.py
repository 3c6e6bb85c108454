import json
import re
import wave
from pathlib import Path

import pytest

from edgeproxy.emulator.assets import FILES, FOLDER, load_assets
from edgeproxy.http.dates import parse_date


@pytest.fixture(scope="module")
def assets():
    return load_assets()


def test_every_file_of_the_folder_is_served():
    present = {str(p.relative_to(FOLDER)) for p in FOLDER.rglob("*") if p.is_file()}
    assert present == {file[0] for file in FILES}


def test_the_page_has_two_names(assets):
    assert assets["/"] is assets["/index.html"]


def test_origins_are_uneven_some_files_lack_validators(assets):
    kinds = {(a.etag is not None, a.last_modified is not None) for a in assets.values()}
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}


def test_validators_are_well_formed(assets):
    for asset in assets.values():
        if asset.etag is not None:
            assert re.fullmatch(r'"[0-9a-f]{20}"', asset.etag)
        if asset.last_modified is not None:
            assert parse_date(asset.last_modified.encode()) is not None


def test_fields_leave_out_what_the_file_does_not_have(assets):
    fields = assets["/widget-v2.1.0.js"].fields()
    assert fields["Content-Type"] == "text/javascript; charset=utf-8"
    assert not {"ETag", "Last-Modified", "Cache-Control"} & fields.keys()
    assert "Content-Security-Policy" in assets["/"].fields()


def test_the_manifest_names_files_that_exist(assets):
    manifest = json.loads(assets["/manifest.json"].body)
    assert {manifest["entry"], *manifest["files"]} <= assets.keys()
    assert manifest["version"] == "2.1.0"


def test_the_entry_point_loads_the_version_that_the_manifest_names(assets):
    version = json.loads(assets["/manifest.json"].body)["version"]
    assert f'const VERSION = "{version}";'.encode() in assets["/bootstrap.js"].body


def test_the_page_loads_nothing_from_elsewhere(assets):
    text = (assets["/"].body + assets["/page/host.css"].body).decode()
    assert re.findall(r"(?:src|href)=\"(?![/#])[^\"]*|url\(|style=|@import", text) == []


def test_the_sound_is_a_sound_of_about_100_kilobytes(assets):
    chime = assets["/v2.1.0/chime.wav"]
    assert 95_000 < len(chime.body) < 110_000
    with wave.open(str(Path(FOLDER) / "v2.1.0" / "chime.wav")) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 22_050)
        frames = sound.readframes(sound.getnframes())
        assert max(frames[1::2]) > 0
