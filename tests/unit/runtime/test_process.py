"""Tests for edgeproxy/runtime/process.py: a whole run in this process, ended by real signals."""

import gc
import logging
import resource
import signal
from types import SimpleNamespace

import pytest

from edgeproxy.config.load import load_text
from edgeproxy.errors import UnavailableError
from edgeproxy.runtime import descriptors
from edgeproxy.runtime.process import run
from edgeproxy.runtime.sockets import bind_all, close_all, name_of
from tests.support.pop import ENTRY, make_place


@pytest.fixture(autouse=True)
def process():
    """Give back what a run changes: log handlers, limits, signal handlers, the collector's view."""
    logger = logging.getLogger("edgeproxy")
    kept = (logger.handlers[:], logger.level, logger.propagate)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    logger.handlers[:], logger.level, logger.propagate = kept
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    gc.unfreeze()


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)


def config_of(place, port: int = 0, level: str = "info"):
    text = place.text("https://127.0.0.1:9", rules=ENTRY, port=port)
    return load_text(text.replace('level = "warning"', f'level = "{level}"'), base=place.folder)


class Ending(logging.Handler):
    """Sends a signal to this process as soon as it says that it listens."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self.number = number
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        if self.said[-1].startswith("listening on https://127.0.0.1:"):
            signal.raise_signal(self.number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal(place, number, capfd):
    ending = Ending(number)
    logging.getLogger("edgeproxy.runtime.process").addHandler(ending)
    try:
        assert run(config_of(place)) == 0
    finally:
        logging.getLogger("edgeproxy.runtime.process").removeHandler(ending)
    assert [line.split(" ")[0] for line in ending.said] == ["listening", "draining"]
    assert '"message": "draining"' in capfd.readouterr().err


def test_a_taken_port_ends_it(place):
    [taken] = bind_all([("127.0.0.1", 0)])
    taken.listen()
    with pytest.raises(UnavailableError, match="taken by another program"):
        run(config_of(place, name_of(taken)[1]))
    close_all([taken])


def test_too_few_open_files_are_said(place, capfd, monkeypatch):
    kernel = SimpleNamespace(
        RLIMIT_NOFILE=resource.RLIMIT_NOFILE,
        RLIM_INFINITY=resource.RLIM_INFINITY,
        getrlimit=lambda _which: (100, 1000),
        setrlimit=lambda _which, _limits: None,
    )
    monkeypatch.setattr(descriptors, "resource", kernel)
    ending = Ending(signal.SIGTERM)
    logging.getLogger("edgeproxy.runtime.process").addHandler(ending)
    try:
        assert run(config_of(place)) == 0
    finally:
        logging.getLogger("edgeproxy.runtime.process").removeHandler(ending)
    warning = "1000 open files are allowed, max_connections needs 10256"
    assert warning in capfd.readouterr().err
