from edgeproxy.wire.h2 import codes


def test_every_code_has_its_own_number_and_name():
    constants = {n: v for n, v in vars(codes).items() if n.isupper() and isinstance(v, int)}
    assert {name: code for code, name in codes.NAMES.items()} == constants
    assert sorted(codes.NAMES) == list(range(0xE))


def test_unknown_codes_are_named_by_number():
    assert codes.name_of(codes.CANCEL) == "CANCEL"
    assert codes.name_of(0xFF) == "0xff"
