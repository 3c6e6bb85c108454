"""Tests for edgeproxy/edge/hints.py."""

from types import SimpleNamespace
from typing import cast

import pytest

from edgeproxy.edge.hints import Hints
from edgeproxy.edge.question import Question
from edgeproxy.http.messages import FieldSection

LINK = (b"link", b"</a.css>; rel=preload")


def question(*fields, is_managed=False):
    route = SimpleNamespace(is_managed=is_managed)
    asked = SimpleNamespace(fields=list(fields))
    return cast("Question", SimpleNamespace(route=route, asked=asked))


class Hearer:
    def __init__(self):
        self.heard = []

    def __call__(self, status, section):
        self.heard.append((status, list(section.fields)))


def test_those_who_wait_hear_and_nobody_else():
    hints, first, second = Hints(), Hearer(), Hearer()
    hints.tell(103, FieldSection([LINK]))
    with hints.heard_by(first):
        hints.tell(102, FieldSection([]))
        with hints.heard_by(second), hints.heard_by(None):
            hints.tell(103, FieldSection([LINK]))
        hints.tell(104, FieldSection([]))
    hints.tell(105, FieldSection([]))
    assert first.heard == [(102, []), (103, [LINK]), (104, [])]
    assert second.heard == [(103, [LINK])]


def test_who_gives_up_hears_nothing_more():
    hints, hearer = Hints(), Hearer()
    with pytest.raises(TimeoutError), hints.heard_by(hearer):
        raise TimeoutError
    hints.tell(103, FieldSection([LINK]))
    assert hearer.heard == []


def test_nobody_gets_a_cookie():
    hints, hearer = Hints(), Hearer()
    with hints.heard_by(hearer):
        hints.tell(103, FieldSection([(b"set-cookie", b"id=1"), LINK]))
    assert hearer.heard == [(103, [LINK])]


def test_all_hear_the_same_section_so_that_it_is_encoded_once():
    hints, sections = Hints(), []
    section = FieldSection([LINK])
    with (
        hints.heard_by(lambda _, heard: sections.append(heard)),
        hints.heard_by(lambda _, heard: sections.append(heard)),
    ):
        hints.tell(103, section)
    assert sections == [section, section]


FRONT = (b"cdn-loop", b"front")
AGENT, COOKIE, TOKEN = (b"user-agent", b"x"), (b"cookie", b"a=1"), (b"authorization", b"Basic eA==")


@pytest.mark.parametrize(
    ("leader", "follower", "is_managed", "hears"),
    [
        ([AGENT], [AGENT], False, True),
        ([AGENT], [], False, False),
        ([COOKIE], [COOKIE], False, False),
        ([TOKEN], [TOKEN], False, False),
        ([AGENT], [], True, True),
        ([FRONT], [], True, False),
        ([], [FRONT], True, False),
    ],
)
def test_who_may_hear_what_was_said_to_another(leader, follower, is_managed, hears):
    hints = Hints()
    assert not hints.are_for(question(*follower, is_managed=is_managed))
    hints.question = question(*leader, is_managed=is_managed)
    assert hints.are_for(question(*follower, is_managed=is_managed)) is hears
