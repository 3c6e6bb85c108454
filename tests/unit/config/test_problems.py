import pytest
from pydantic import ValidationError

from edgeproxy.config.document import parse
from edgeproxy.config.problems import names_at, problems_of
from edgeproxy.config.schema import Config
from tests.support.configs import HEAD, HOST


def problems(text, tmp_path):
    document = parse(text, file="edge.toml", base=tmp_path, environ={})
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(document.raw, context={"base": tmp_path})
    return [str(problem) for problem in problems_of(caught.value, document)]


EXPLAINED = """
[pop]~nmae = "x"
    pop.nmae: unknown key (did you mean 'name'?)
zzz = 1
    host.0.zzz: unknown key
[rollout]
    rollout: not available in this version
shield = true
    host.0.shield: not available in this version
cors = 3
    host.0.cors: expected a name in quotes, not 3
[log]~level = "inof"
    log.level: expected 'debug', 'info', 'warning' or 'error', not 'inof' (did you mean 'info'?)
[log]~level = 3
    log.level: expected 'debug', 'info', 'warning' or 'error', not 3
[log]~access = 3
    log.access: expected a table, not 3
[log.access]~enabled = "yes"
    log.access.enabled: expected true or false, not 'yes'
[limits]~max_connections = "x"
    limits.max_connections: expected a whole number, not 'x'
[limits]~max_connections = true
    limits.max_connections: expected a whole number, not true
[limits]~max_connections = {}
    limits.max_connections: expected a whole number, not a table
[limits]~max_connections = []
    limits.max_connections: expected a whole number, not a list
[limits]~max_connections = 0
    limits.max_connections: expected at least 1, not 0
[limits]~max_connections = 9000000
    limits.max_connections: expected at most 1000000, not 9000000
rule = 3
    host.0.rule: expected a list, not 3
hsts = "x"
    host.0.hsts: expected true or false, not 'x'
hsts = { max_gae = 1 }
    host.0.hsts.max_gae: unknown key (did you mean 'max_age'?)
hsts = { preload = true, max_age = "1d" }
    host.0.hsts: preload needs include_subdomains and a max_age of 1y
[tls]~groups = ["X25519", "P256"]
    tls.groups.1: expected 'X25519MLKEM768', 'SecP256r1MLKEM768', 'SecP384r1MLKEM1024', 'X25519', \
'X448', 'P-256', 'P-384' or 'P-521', not 'P256' (did you mean 'P-256'?)
[tls]~groups = "X25519"
    tls.groups: expected a list, not 'X25519'
[tls]~groups = []
    tls.groups: expected at least 1
[tls]~groups = ["X25519", "P-256", "X25519"]
    tls.groups: 'X25519' is listed twice
[tls]~ticket_lifetime = "8d"
    tls.ticket_lifetime: a ticket lives 7d at most (RFC 8446 section 4.6.1), not 8d
[tls]~min_version = "1.2"
    tls.min_version: expected '1.3', not '1.2' (did you mean '1.3'?)
[tls]~no_sni = "rejects"
    tls.no_sni: expected 'default' or 'reject', not 'rejects' (did you mean 'reject'?)
[cache.memory]~size = "1B"
    cache.memory: max_object is larger than size
[origin.9]~urls = ["https://a"]
    origin.9: expected a letter, then letters, digits, '.', '_' or '-', not '9'
[origin.b]~urls = []
    origin.b.urls: expected at least 1
[origin.b]~urls = ["https://a", "https://b"]
    origin.b.urls: expected at most 1, not 2
[origin.b]
    origin.b.urls: required, but not there
[[host.rule]]~id = "a"~policy = "pass"~path = ["/a", "b"]
    host.0.rule.0.path.1: a path pattern starts with '/', not 'b'
"""
_LINES = EXPLAINED.strip().splitlines()


@pytest.mark.parametrize(("written", "said"), list(zip(_LINES[::2], _LINES[1::2], strict=True)))
def test_a_fault_is_said_in_the_operators_words(tmp_path, written, said):
    before = HEAD + HOST
    found = problems(before + written.replace("~", "\n"), tmp_path)
    # A fault of the last line written, or of the table that a model judges as a whole.
    is_last = not said.strip().startswith(("cache.memory:", "origin.9:"))
    line = len(before.splitlines()) + (written.count("~") if is_last else 0) + 1
    assert found == [f"edge.toml:{line}: {said.strip()}"]


def test_a_misspelt_required_key_is_one_problem(tmp_path):
    text = HEAD + HOST.replace("origin", "orign")
    assert problems(text, tmp_path) == [
        "edge.toml:11: host.0.orign: unknown key (did you mean 'origin'?)"
    ]


def test_items_that_are_all_wrong_are_not_also_missing(tmp_path):
    text = HEAD.replace("https://assets.internal", "x") + HOST
    assert len(problems(text, tmp_path)) == 1


def test_problems_come_in_the_order_of_the_file(tmp_path):
    found = problems("config_version = 2\n[[host]]\n[listen]\n[pop]\nx = 1\n", tmp_path)
    lines = [int(line.split(":")[1]) for line in found]
    assert lines == sorted(lines)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("loc", "name"),
    [
        ((), "listen"),
        (("origin", "any"), "urls"),
        (("host", 3, "rule", 2, "override"), "edge_ttl"),
        (("host", 0, "hsts"), "preload"),
        (("log", "access"), "client_ip"),
    ],
)
def test_the_keys_of_a_table_are_known(loc, name):
    assert name in names_at(loc)


def test_nothing_is_known_where_no_table_is():
    assert names_at(("pop", "name")) == []
    assert names_at(("nowhere", "at", "all")) == []


CERT = 'cert = { chain = "chain.pem", key = "key.pem" }'


@pytest.mark.parametrize(
    ("cert", "explained"),
    [
        ('{ chian = "c", key = "k" }', "cert.chian: unknown key (did you mean 'chain'?)"),
        ('{ chain = "c" }', "cert.key: required, but not there"),
        ('[{ chain = "c", key = "k" }, { chain = 3, key = "k" }]', "cert.1.chain: expected a path"),
        ('[{ chain = "c", key = "k" }, { chain = "c" }]', "cert.1.key: required, but not there"),
        ("[]", "cert: expected at least one"),
        ("3", "cert: expected a table, not 3"),
        (
            '[{chain="1",key="1"},{chain="2",key="2"},{chain="3",key="3"}]',
            "cert: expected at most 2, not 3",
        ),
    ],
)
def test_a_certificate_is_a_table_or_two(tmp_path, cert, explained):
    [problem] = problems(HEAD + HOST.replace(CERT, f"cert = {cert}"), tmp_path)
    assert f": host.0.{explained}" in problem
