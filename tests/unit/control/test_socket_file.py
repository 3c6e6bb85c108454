import asyncio
import os
import socket
import stat

import pytest

from edgeproxy.control.server import SmallServer
from edgeproxy.control.socket_file import (
    PATH_BYTES_MAX,
    ControlSocket,
    Unusable,
    claim,
    is_ours,
    socket_path,
    too_long,
)
from tests.support.privileges import NOBODY, without_privileges
from tests.unit.control.test_server import GET, app


def mode_of(path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def control(tmp_path):
    made = claim(tmp_path / "state", "fra1")
    yield made
    made.close()


def test_socket_and_folder_are_for_their_owner(control, tmp_path):
    assert control.path == tmp_path / "state" / "fra1.sock"
    assert mode_of(control.path) == 0o600
    assert mode_of(tmp_path / "state") & 0o777 & ~0o750 == 0


def test_it_goes_when_it_is_closed(control):
    control.close()
    control.close()
    assert not control.path.exists()


def test_a_second_one_of_the_same_name_is_refused(control, tmp_path):
    second = claim(tmp_path / "state", "fra1")
    assert isinstance(second, Unusable)
    assert "another PoP named 'fra1' is running" in second.reason
    assert control.path.exists()
    other = claim(tmp_path / "state", "fra2")
    assert isinstance(other, ControlSocket)
    other.close()


def test_after_a_close_the_name_is_free(control, tmp_path):
    control.close()
    again = claim(tmp_path / "state", "fra1")
    assert again.path == control.path
    again.close()


def test_what_a_dead_process_left_behind_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "fra1.sock"))
        dead.listen()
    control = claim(tmp_path, "fra1")
    assert isinstance(control, ControlSocket)
    control.close()


@pytest.mark.parametrize("backlog", [5, 0])
def test_a_socket_that_somebody_listens_on_is_left_alone(tmp_path, backlog):
    """Also where it has no place for one more (EAGAIN)."""
    path = tmp_path / "fra1.sock"
    with socket.socket(socket.AF_UNIX) as alive, socket.socket(socket.AF_UNIX) as waiting:
        alive.bind(str(path))
        alive.listen(backlog)
        waiting.connect(str(path))
        second = claim(tmp_path, "fra1")
        assert isinstance(second, Unusable)
        assert "another PoP" in second.reason
        assert path.exists()


def test_a_file_in_its_place_is_left_alone(tmp_path):
    (tmp_path / "fra1.sock").write_text("precious")
    unusable = claim(tmp_path, "fra1")
    assert unusable == Unusable(tmp_path / "fra1.sock", "it is something else")
    assert (tmp_path / "fra1.sock").read_text() == "precious"


def test_a_folder_that_everybody_may_write_to_is_no_place(tmp_path):
    tmp_path.chmod(0o777)
    unusable = claim(tmp_path, "fra1")
    assert unusable.reason == "everybody may write to its folder (mode 0777)"
    assert list(tmp_path.iterdir()) == []


def test_without_permission_there_is_none(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "closed").mkdir(mode=0o555)
    with without_privileges():
        for folder in (tmp_path / "closed", tmp_path / "closed" / "new"):
            assert claim(folder, "fra1") == Unusable(folder / "fra1.sock", "Permission denied")


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "state").touch()
    assert claim(tmp_path / "state", "fra1").reason == "File exists"


def test_a_path_that_no_socket_can_have(tmp_path):
    room = PATH_BYTES_MAX - len(os.fsencode(tmp_path)) - len("/fra1.sock") - 1
    fits, longer = tmp_path / ("a" * room), tmp_path / ("a" * (room + 1))
    control = claim(fits, "fra1")
    assert isinstance(control, ControlSocket)
    control.close()
    assert claim(longer, "fra1").reason == "its path has 108 bytes, 107 are the most"
    assert not longer.exists()
    assert too_long(socket_path(fits, "fra1")) == ""


async def test_the_peer_is_known_and_strangers_are_cut_off(control):
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    server = SmallServer(app(), connections_max=2, seconds_max=20, admits=is_ours)
    await server.start([control.sock])
    control.path.chmod(0o666)
    for folder in (control.path.parent, *control.path.parent.parents[:4]):
        if folder.owner() == "root" and folder.name != "tmp":
            folder.chmod(0o755)
    answers = []
    for is_stranger in (False, True):
        client = socket.socket(socket.AF_UNIX)
        if is_stranger:
            with without_privileges():
                assert os.geteuid() == NOBODY
                client.connect(str(control.path))
        else:
            client.connect(str(control.path))
        reader, writer = await asyncio.open_unix_connection(sock=client)
        writer.write(GET.replace(b"1.1", b"1.0"))
        try:
            answers.append(await reader.read())
        except ConnectionResetError:
            answers.append(b"")
        writer.close()
    assert b"hello" in answers[0]
    assert answers[1] == b""
    await server.aclose()
