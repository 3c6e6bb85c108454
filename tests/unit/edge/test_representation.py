from edgeproxy.edge.representation import Representation
from edgeproxy.http.ranges import ByteRange

FIELDS = [
    (b"content-type", b"text/plain"),
    (b"content-language", b"de"),
    (b"content-location", b"/a.de"),
    (b"content-digest", b"sha-256=:x:"),
    (b"cache-control", b"max-age=60"),
    (b"date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
    (b"expires", b"0"),
    (b"last-modified", b"Tue, 14 Nov 2023 22:13:10 GMT"),
    (b"vary", b"Origin"),
]
TAG = (b"etag", b'"1"')


def test_validators_are_read_from_the_fields() -> None:
    made = Representation(200, [*FIELDS, TAG], length=4)
    assert (made.etag, made.last_modified) == (b'"1"', b"Tue, 14 Nov 2023 22:13:10 GMT")
    assert made.date == b"Tue, 14 Nov 2023 22:13:20 GMT"


def test_sections_are_made_once() -> None:
    made = Representation(200, FIELDS, length=4)
    assert made.whole is made.whole
    assert made.bare is made.bare
    cut = ByteRange(0, 1)
    assert made.part(cut, 4)[0] is made.part(cut, 4)[0]


def test_the_length_is_stated_where_it_is_known() -> None:
    assert Representation(200, FIELDS, length=0).whole.fields[-1] == (b"content-length", b"0")
    assert Representation(200, FIELDS, length=None).whole.fields == tuple(FIELDS)


def test_a_304_has_what_caches_need_and_nothing_of_the_content() -> None:
    bare = dict(Representation(200, [*FIELDS, TAG], length=4).bare.fields)
    assert set(bare) == {
        b"content-location",
        b"cache-control",
        b"date",
        b"expires",
        b"vary",
        b"etag",
    }


def test_a_304_without_a_tag_says_when_it_was_modified() -> None:
    assert b"last-modified" in dict(Representation(200, FIELDS, length=4).bare.fields)


def test_a_part_states_its_own_length_and_no_digest_of_the_whole_message() -> None:
    common, own = Representation(200, FIELDS, length=4).part(ByteRange(1, 2), 4)
    assert own.fields == ((b"content-length", b"2"), (b"content-range", b"bytes 1-2/4"))
    assert not {b"content-length", b"content-digest"} & dict(common.fields).keys()
    assert (b"content-type", b"text/plain") in common.fields
