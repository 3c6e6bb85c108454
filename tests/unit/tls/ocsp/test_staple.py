from edgeproxy.tls.ocsp.staple import Staple


def test_a_staple_is_usable_until_its_time_has_come() -> None:
    staple = Staple(b"der", this_update=100.0, next_update=1000.0, usable_until=700.0)
    assert staple.is_usable(699.9)
    assert not staple.is_usable(700.0)
