import socket
import stat

from edgeproxy.runtime.handover import Line
from edgeproxy.runtime.names import Names
from edgeproxy.runtime.taking import Taken


def test_they_are_for_their_owner_and_go_when_they_are_given_up(tmp_path):
    (tmp_path / "fra1.next").touch()  # of a dead process
    names = Names.claim(tmp_path, "fra1")
    assert stat.S_ISSOCK(names.path.stat().st_mode)
    assert stat.S_IMODE(names.path.stat().st_mode) == 0o600
    assert len(names.descriptors()) == 3
    assert names.control.sock not in names.held(has_control=True)
    assert names.control.sock in names.held(has_control=False)
    assert Names.claim(tmp_path, "fra1") is None
    names.close()
    assert [each.name for each in tmp_path.iterdir()] == ["fra1.lock"]


def test_what_another_process_goes_on_with_stays(tmp_path):
    names = Names.claim(tmp_path, "fra1")
    line = Line(socket.socket(socket.AF_UNIX))
    taken = Taken(line, control=names.control, listener=names.listener)
    assert Names.taken(tmp_path, "fra1", taken) == names
    assert Names.of(tmp_path, "fra1", taken) == names
    assert Names.of(tmp_path, "fra1", None) is None  # they are somebody's
    names.leave()
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "fra1.lock",
        "fra1.next",
        "fra1.sock",
    ]
    assert Names.taken(tmp_path, "fra1", Taken(line)) is None
    line.close()


def test_a_path_that_cannot_be_made_way_for_is_said(tmp_path, caplog):
    (tmp_path / "fra1.next").mkdir()
    assert Names.claim(tmp_path, "fra1") is None
    assert "nobody can take over" in caplog.text
    assert not (tmp_path / "fra1.sock").exists()
