from edgeproxy.edge.generations import Generations


def test_numbers_only_grow_and_every_key_sees_a_purge_of_all() -> None:
    generations = Generations()
    before = generations.current(b"a")
    assert generations.current(b"b") == before
    after = generations.advance()
    assert generations.current(b"a") == generations.current(b"b") == after > before
