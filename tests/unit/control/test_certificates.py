from edgeproxy.control.certificates import NotReverted, Reverted


def test_outcomes_are_values():
    assert Reverted({"name": "a"}) == Reverted({"name": "a"})
    assert NotReverted("nothing-kept") != NotReverted("unknown-name")
