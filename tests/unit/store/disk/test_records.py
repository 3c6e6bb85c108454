import dataclasses

import pytest

from edgeproxy.store.disk.records import RecordError, decode, encode, key_name, variant_name
from tests.support.stored import stored

ONE = dataclasses.replace(
    stored(b"k\xff", b"body", fields=[(b"etag", b'"\xfc"'), (b"vary", b"a")], request_fields=[]),
    tags=(b"t",),
    fill_generation=3,
    initial_age=0.1,
)


def test_everything_comes_back():
    again = decode(encode(ONE), b"body")
    for name in ONE.__dataclass_fields__:
        assert getattr(again, name) == getattr(ONE, name), name


@pytest.mark.parametrize(
    "record", [b"", b"\x02" + encode(ONE)[1:], encode(ONE)[:-1], encode(ONE).replace(b"2", b"3", 1)]
)
def test_what_is_no_record_is_refused(record):
    with pytest.raises(RecordError):
        decode(record, b"body")


def test_names_tell_keys_and_selections_apart():
    assert key_name(b"a") != key_name(b"b")
    assert variant_name(((b"a", None),)) != variant_name(((b"a", b""),))
