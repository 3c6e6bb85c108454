import pytest

from edgeproxy.store.disk import budget, rows
from edgeproxy.store.disk.index import ROW_BYTES, Index
from edgeproxy.store.memory import VARIANTS_MAX
from tests.support.stored import NOW, stored


@pytest.fixture
def db(tmp_path):
    index = Index(tmp_path, fsync=False)
    index.open()
    with index.write() as connection:
        connection.execute("INSERT INTO bodies (digest, length, space) VALUES (x'00', 4, 4096)")
        yield connection
    index.close()


def count(db):
    return db.execute("SELECT count(*) FROM responses").fetchone()[0]


def put(db, response, at=NOW):
    digest = response.digest
    db.execute(
        "INSERT OR IGNORE INTO bodies (digest, length, space) VALUES (?, 4, 4096)", (digest,)
    )
    [body] = db.execute("SELECT id FROM bodies WHERE digest = ?", (digest,)).fetchone()
    row = rows.row_of(response)
    rows.insert(db, row, body, now=at)
    return row


def variant(number):
    line = (b"accept-language", b"l%d" % number)
    return stored(fields=[(b"vary", b"Accept-Language")], request_fields=[line])


def test_a_row_counts_for_its_record_and_its_place(db):
    row = put(db, stored())
    assert row.size == ROW_BYTES + len(row.record)
    assert (row.length, row.response_time) == (4, NOW)
    [(ledger,)] = db.execute("SELECT bytes FROM ledger").fetchall()
    assert ledger == row.size + 2 * 4096


def test_of_equal_selecting_values_there_is_one(db):
    put(db, stored())
    put(db, stored(response_time=NOW + 1))
    assert count(db) == 1


def test_only_that_very_response_is_removed(db):
    put(db, stored())
    assert rows.remove(db, stored(response_time=NOW + 1)) == 0
    assert rows.remove(db, stored(body=b"other")) == 0
    assert rows.remove(db, stored()) == 1


def test_all_of_a_body_and_all_of_a_variant_go(db):
    put(db, stored(b"a"))
    put(db, stored(b"b"))
    assert rows.remove_all_of(db, stored().digest) == 2
    row = put(db, stored(b"a"))
    rows.remove_variant(db, row.key, row.variant)
    assert count(db) == 0


def test_the_oldest_variants_are_pruned(db):
    for number in range(VARIANTS_MAX + 2):
        row = put(db, variant(number))
    assert rows.prune(db, row.key) == 2
    assert count(db) == VARIANTS_MAX


def test_what_another_process_forgot_later_was_forgotten(db):
    row = rows.row_of(stored())
    db.execute("INSERT INTO forgotten VALUES (?, 'other', ?)", (row.key, NOW))
    assert rows.was_forgotten(db, row.key, writer="me", since=NOW - 1)
    assert not rows.was_forgotten(db, row.key, writer="me", since=NOW + 1)
    assert not rows.was_forgotten(db, row.key, writer="other", since=NOW - 1)


def test_reservations_that_were_given_up_are_noticed(db):
    made = [budget.reserve(db, "me", bytes([number]), 10) for number in range(2)]
    assert rows.release(db, made)
    assert not rows.release(db, made)


def test_a_new_index_is_not_swept(db):
    assert not rows.is_swept(db)
    db.execute("UPDATE ledger SET is_swept = 1")
    assert rows.is_swept(db)
