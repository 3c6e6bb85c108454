from edgeproxy.runtime.due import DEATHS_MAX, ReloadDue


def test_what_has_begun_is_wanted_no_more_and_over_once_it_ended():
    due = ReloadDue()
    assert not due.is_open
    due.ask()
    assert (due.is_wanted, due.is_open) == (True, True)
    due.begun()
    assert (due.is_wanted, due.is_running, due.is_open) == (False, True, True)
    due.ended()
    assert not due.is_open


def test_who_asks_while_one_runs_gets_another_one():
    due = ReloadDue()
    due.begun()
    due.ask()
    due.ended()
    assert due.is_wanted


def test_a_successor_carries_it_out_but_not_for_ever():
    due = ReloadDue()
    due.ask()
    assert due.died()
    assert due.is_wanted  # that one had not begun: it is no fault of the reload
    for deaths in range(1, DEATHS_MAX + 1):
        due.begun()
        assert due.died() is (deaths < DEATHS_MAX)
        assert due.is_wanted is (deaths < DEATHS_MAX)
    due.begun()
    assert due.died()


def test_one_that_ended_well_begins_the_count_anew():
    due = ReloadDue()
    for _ in range(DEATHS_MAX):
        due.begun()
        due.died()
        due.begun()
        due.ended()
    due.begun()
    assert due.died()
