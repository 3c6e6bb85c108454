"""`edgeproxy demo` as a person starts it: a process of its own, free ports, ended by Ctrl-C."""

import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

START_SECONDS = 60.0
LINE_SECONDS = 20.0
END_SECONDS = 30.0


def command(folder: Path, **ports: int) -> list[str]:
    chosen = {"https": 0, "http": 0, "origin": 0} | ports
    flags = [f"--{name}-port={port}" for name, port in chosen.items()]
    return [sys.executable, "-m", "edgeproxy", "demo", "--folder", str(folder), *flags]


class Demo:
    """A running demo; `lines` are what it printed since it said where it listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self._printed: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            command(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.announcement = self._read_announcement()
        self.port = self._port(r"edge +https://localhost:(\d+)/ +HTTP/")
        self.http_port = self._port(r"http://localhost:(\d+)/")
        self.origin_port = self._port(r"origin +https://localhost:(\d+)/")

    def _read(self) -> None:
        with self._process.stdout as printed:
            for line in printed:
                self._printed.put(line)

    def _read_announcement(self) -> str:
        said = ""
        while "Ctrl-C ends" not in said:
            try:
                said += self._printed.get(timeout=START_SECONDS)
            except queue.Empty:
                self.stop()
                raise AssertionError(f"the demo did not start:\n{said}") from None
        return said

    def _port(self, pattern: str) -> int:
        found = re.search(pattern, self.announcement)
        if found is None:  # nobody else would end it, and its reader holds the interpreter
            self.stop()
            raise AssertionError(f"no {pattern!r} in what the demo said:\n{self.announcement}")
        return int(found[1])

    def url(self, path: str = "/") -> str:
        return f"https://localhost:{self.port}{path}"

    def line_about(self, text: str) -> str:
        """Wait for a line that holds this text; lines before it are gone."""
        while True:
            line = self._printed.get(timeout=LINE_SECONDS)
            if text in line:
                return line

    def stop(self) -> int:
        """Do what Ctrl-C does; return the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(END_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
