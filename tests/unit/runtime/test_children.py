import os
import signal

import pytest

from edgeproxy.errors import ConfigError, UnavailableError
from edgeproxy.runtime.children import (
    CONFIGURATION,
    INTERNAL,
    PAUSE_SECONDS_MAX,
    SETTLED_SECONDS,
    UNAVAILABLE,
    Child,
    fork,
    how_it_ended,
    pause_seconds,
)
from edgeproxy.runtime.link import link_pair


def failing(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (lambda: 7, 7),
        (failing(ConfigError([])), CONFIGURATION),
        (failing(UnavailableError("no")), UNAVAILABLE),
        (failing(ValueError("ours")), INTERNAL),
        (lambda: signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN, 0),
    ],
)
def test_a_body_ends_as_an_exit_code(body, code):
    pid = fork("a child", body, inherited=[])
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == code
    assert how_it_ended(status) == f"ended with exit code {code}"


def test_what_is_not_for_a_child_is_closed_in_it():
    here, there = link_pair()
    pid = fork("a child", lambda: here.fileno() == -1, inherited=[here])
    _, status = os.waitpid(pid, 0)
    assert (os.waitstatus_to_exitcode(status), here.fileno() > 0) == (1, True)
    here.close()
    there.close()


def test_a_signal_is_named():
    assert how_it_ended(int(signal.SIGKILL)) == "was killed by Killed (9)"


def test_pauses_grow_up_to_a_bound():
    assert [pause_seconds(deaths) for deaths in range(5)] == [0, 0, 0.1, 0.2, 0.4]
    assert pause_seconds(1000) == PAUSE_SECONDS_MAX


def test_who_lived_long_is_replaced_at_once():
    child = Child("worker 0")
    child.tell({"do": "nothing"})
    for born, ended, due in [(0, 1, 1), (1, 2, 2.1), (3, 3 + SETTLED_SECONDS, 3 + SETTLED_SECONDS)]:
        here, there = link_pair()
        child.begun(17, here, born)
        child.ended(ended)
        assert (child.due, child.pid, child.link) == (due, 0, None)
        there.close()
