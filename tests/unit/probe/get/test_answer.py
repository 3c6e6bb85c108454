"""Tests for edgeproxy/probe/get/answer.py."""

import hashlib

import pytest

from edgeproxy.clock import SystemClock
from edgeproxy.probe.get.answer import FIELDS_MAX, Answer, BrokenError


def make_answer(octets_max=100):
    taken = []
    return Answer(SystemClock(), taken.append, octets_max), taken


def test_a_whole_response():
    answer, taken = make_answer()
    answer.head(103, [(b"link", b"</a>")])
    answer.head(200, [(b"x", b"\xe4")])
    answer.content(b"one")
    answer.content(b"two")
    assert not answer.is_whole
    answer.end([(b"t", b"1")])
    assert answer.is_whole
    assert answer.interim == [(103, (("link", "</a>"),))]
    assert (answer.status, answer.fields, answer.trailers) == (200, (("x", "ä"),), (("t", "1"),))
    assert (answer.octets, taken) == (6, [b"one", b"two"])
    assert answer.sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert answer.first_seconds <= answer.last_seconds


def test_more_content_than_is_taken():
    answer, taken = make_answer(octets_max=4)
    answer.head(200, [])
    answer.content(b"four")
    with pytest.raises(BrokenError, match="more than 4 octets"):
        answer.content(b"!")
    assert taken == [b"four"]


@pytest.mark.parametrize(
    ("heads", "why"),
    [
        ([200, 200], "second final"),
        ([103] * (FIELDS_MAX + 1), "without end"),
    ],
)
def test_heads_that_do_not_follow_each_other(heads, why):
    answer, _ = make_answer()
    for status in heads[:-1]:
        answer.head(status, [])
    with pytest.raises(BrokenError, match=why):
        answer.head(heads[-1], [])


def test_fields_without_end():
    answer, _ = make_answer()
    with pytest.raises(BrokenError, match="field lines"):
        answer.head(200, [(b"a", b"b")] * (FIELDS_MAX + 1))


def test_an_end_without_a_beginning():
    answer, _ = make_answer()
    with pytest.raises(BrokenError, match="no final response"):
        answer.end()
