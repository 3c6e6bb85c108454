from edgeproxy.config.document import parse
from edgeproxy.config.salvage import Salvage
from tests.support.configs import HEAD, HOST

RULE = """
[[host.rule]]
id = "{id}"
path = "{path}"
policy = "pass"
"""


def salvage(tmp_path, text):
    return Salvage(parse(text, file="edge.toml", base=tmp_path, environ={}))


def test_what_is_whole_stays_as_it_is(tmp_path):
    saved = salvage(tmp_path, HEAD + HOST)
    assert saved.config is not None
    assert saved.original(("host", 0, "name")) == ("host", 0, "name")


def test_a_wrong_value_is_cut_and_its_default_stands_in(tmp_path):
    saved = salvage(tmp_path, HEAD + HOST + "zzz = 1\n[pop]\nname = 3")
    assert saved.config.pop.name == "edgeproxy"


def test_a_table_without_a_required_key_is_cut(tmp_path):
    saved = salvage(tmp_path, HEAD + "[[host]]\nname = 'a'\n" + HOST)
    assert [host.name for host in saved.config.host] == ["www.example"]
    assert saved.original(("host", 0, "origin")) == ("host", 1, "origin")


def test_a_misspelt_required_key_is_taken_for_what_it_means(tmp_path):
    saved = salvage(tmp_path, HEAD + HOST.replace("origin", "orign"))
    assert saved.config.host[0].origin == "assets"


def test_rules_keep_their_places_when_others_are_cut(tmp_path):
    rules = [RULE.format(id=f"r{n}", path="/x" if n % 2 else "x") for n in range(5)]
    saved = salvage(tmp_path, HEAD + HOST + "".join(rules))
    assert [rule.id for rule in saved.config.host[0].rule] == ["r1", "r3"]
    assert saved.original(("host", 0, "rule", 1, "id")) == ("host", 0, "rule", 3, "id")


def test_a_fault_within_a_cut_table_does_not_reach_its_neighbour(tmp_path):
    faulty = "[[host]]\nname = 'a'\n[[host.rule]]\nid = 3\n"  # no origin, and a bad rule
    saved = salvage(tmp_path, HEAD + faulty + HOST + RULE.format(id="ok", path="/x"))
    assert [rule.id for rule in saved.config.host[0].rule] == ["ok"]


def test_missing_tables_of_the_whole_are_stood_in_for(tmp_path):
    text = HEAD.replace("config_version = 1", "").replace("https =", "htps = 1\nhttp =") + HOST
    assert salvage(tmp_path, text).config.host[0].name == "www.example"


def test_without_any_host_nothing_can_be_saved(tmp_path):
    assert salvage(tmp_path, HEAD).config is None
    assert salvage(tmp_path, HEAD + "[[host]]\nname = 3").config is None
