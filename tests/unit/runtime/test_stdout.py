import os
import threading

from edgeproxy.runtime.children import fork
from edgeproxy.runtime.stdout import SharedStdout, write


def test_all_of_it_is_written(capfd):
    write("é" * 10)
    assert capfd.readouterr().out == "é" * 10


def test_lines_of_several_processes_stay_whole(monkeypatch):
    reader, writer = os.pipe()
    monkeypatch.setattr("edgeproxy.runtime.stdout._STDOUT", writer)
    shared = SharedStdout()

    def body(letter):
        for _ in range(20):
            shared.write(letter * 20_000 + "\n")
        return 0

    pids = [fork("a child", lambda letter=letter: body(letter), inherited=[]) for letter in "ab"]
    got = []

    def read():
        with os.fdopen(reader, "rb") as file:
            got.append(file.read())

    reading = threading.Thread(target=read)
    os.close(writer)
    reading.start()
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0
    reading.join()
    lines = got[0].decode().splitlines()
    assert sorted(lines) == ["a" * 20_000] * 20 + ["b" * 20_000] * 20
    shared.close()
