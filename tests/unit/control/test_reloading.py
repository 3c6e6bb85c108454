"""Tests for edgeproxy/control/reloading.py."""

from edgeproxy.control.reloading import document_of
from edgeproxy.errors import Problem


def test_a_problem_as_a_document():
    assert document_of(Problem("edge.toml", 3, "listen", "wrong", "https")) == {
        "file": "edge.toml",
        "line": 3,
        "path": "listen",
        "message": "wrong",
        "nearest": "https",
    }
