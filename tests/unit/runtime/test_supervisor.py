"""Tests for edgeproxy/runtime/supervisor.py; real deaths are in tests/protocol/test_workers.py."""

import pytest

from edgeproxy.config.load import load_text
from edgeproxy.errors import UnavailableError
from edgeproxy.runtime.sockets import bind_all, close_all, name_of
from edgeproxy.runtime.supervisor import Supervisor
from tests.support.pop import make_place


def test_a_taken_port_ends_it_before_anybody_is_born(tmp_path):
    place = make_place(tmp_path)
    [taken] = bind_all([("127.0.0.1", 0)])
    taken.listen()
    text = place.text("https://127.0.0.1:9", port=name_of(taken)[1])
    supervisor = Supervisor(load_text(text, base=tmp_path), 2, pytest.fail)
    with pytest.raises(UnavailableError, match="taken by another program"):
        supervisor.run()
    close_all([taken])
