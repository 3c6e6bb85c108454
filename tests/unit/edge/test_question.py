import pytest

from edgeproxy.edge.fetch import question
from edgeproxy.edge.question import Question
from tests.support.caching import get, keep
from tests.support.edge import make_pop


@pytest.mark.parametrize(
    ("vary", "is_selected"),
    [
        ((), True),
        (((b"accept-language", b"de"),), True),
        (((b"accept-language", b"en"),), False),
        (((b"accept-language", None),), False),
        (((b"accept-language", b"de"), (b"cookie", None)), True),
    ],
)
def test_a_question_selects_by_what_it_asks_with(vary: tuple, is_selected: bool) -> None:
    pop = make_pop()
    request = pop.request(accept_language="de")
    route = pop.edge._lookup.site_routes(request).route(request.target)
    asked = Question(route, question(request, route), "uri-miss")
    assert asked.selects(vary) is is_selected


def test_a_304_may_confirm_nothing_that_only_another_way_here_selects() -> None:
    pop = make_pop()
    request = pop.request()
    route = pop.edge._lookup.site_routes(request).route(request.target)
    hers, ours = keep(request=get(cdn_loop="front")), keep()
    asked = Question(route, question(request, route), "stale", [hers, ours], ours)
    assert asked.confirmable == [ours]
