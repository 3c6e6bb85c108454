import os

from edgeproxy.config.load import load_text
from edgeproxy.runtime.generation import Generation
from edgeproxy.runtime.inheritance import Inheritance
from tests.support.pop import clock_of_today, make_place


def test_who_is_born_later_begins_with_what_is_current(tmp_path, caplog):
    place = make_place(tmp_path)
    config = load_text(place.text("https://127.0.0.1:9"), base=tmp_path)
    inherited = Inheritance(config, 2, clock_of_today())
    assert (inherited.current.number, inherited.config) == (0, config)
    assert inherited.share.limits.max_connections == -(-config.limits.max_connections // 2)
    text = place.text("https://127.0.0.1:9", limits="max_connections = 10")
    other = load_text(text, base=tmp_path)
    inherited.adopt(Generation(7, other, inherited.current.identities).to_descriptor())
    assert (inherited.current.number, inherited.share.limits.max_connections) == (7, 5)
    reader, writer = os.pipe()
    os.close(writer)
    inherited.adopt(reader)
    assert "is not known to the main process" in caplog.text
    assert inherited.current.number == 7
