"""Tests for edgeproxy/runtime/notify.py, heard by a real datagram socket."""

import os
import secrets
import socket

import pytest

from edgeproxy.runtime.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A service manager's socket and what the environment says of it."""
    name = f"edge-{secrets.token_hex(8)}"
    is_path = request.param == "path"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind(str(tmp_path / "notify") if is_path else f"\0{name}")
        yield sock, {"NOTIFY_SOCKET": str(tmp_path / "notify") if is_path else f"@{name}"}


def test_states_are_said(manager):
    sock, environ = manager
    notifier = Notifier(environ, monotonic=lambda: 12.5)
    notifier.ready()
    notifier.reloading()
    notifier.stopping("told\nto")
    notifier.alive()
    assert [sock.recv(1000) for _ in range(4)] == [
        b"READY=1\nSTATUS=serving",
        b"RELOADING=1\nMONOTONIC_USEC=12500000\nSTATUS=reloading",
        b"STOPPING=1\nSTATUS=told to",
        b"WATCHDOG=1",
    ]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(said, seconds):
    notifier = Notifier({"NOTIFY_SOCKET": "/nowhere", **said}, monotonic=float)
    assert notifier.watchdog_seconds == seconds


@pytest.mark.parametrize("named", ["", "@", "relative"])
def test_without_a_manager_nothing_is_said(named):
    notifier = Notifier({"NOTIFY_SOCKET": named, "WATCHDOG_USEC": "9"}, monotonic=float)
    notifier.ready()
    assert notifier.watchdog_seconds is None


def test_a_manager_that_is_not_there_is_missed_once(tmp_path, caplog):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, monotonic=float)
    notifier.ready()
    notifier.alive()
    assert len(caplog.records) == 1


def test_a_manager_that_does_not_read_holds_nobody_up(manager):
    notifier = Notifier(manager[1], monotonic=float)
    for _ in range(2000):
        notifier.alive()
