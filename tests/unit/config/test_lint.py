import pytest

from edgeproxy.config import lint
from tests.support.configs import HEAD, HOST, loaded, messages, problems

NAMES = {"origin": ["assets"], "policy": [], "cors": []}


def found(folder, extra="", head=HEAD, host=HOST):
    return [m.partition(" ")[2] for m in messages(folder, head + host + extra)]


def rule(name, path, policy="pass", more=""):
    return f'\n[[host.rule]]\nid = "{name}"\npath = {path!r}\npolicy = "{policy}"\n{more}'


def test_a_sound_configuration_has_no_problems(tmp_path):
    assert found(tmp_path, rule("one", "/a") + rule("two", "/**", "entry")) == []


def test_the_same_address_twice(tmp_path):
    head = HEAD.replace('https = "127.0.0.1:8443"', 'https = ["[::1]:1", "[0::1]:1"]')
    assert found(tmp_path, head=head) == ["listen.https: [::1]:1 is listened on twice"]


def test_one_address_for_both_kinds(tmp_path):
    head = HEAD.replace("[origin", 'http_redirect = "127.0.0.1:8443"\n[origin')
    assert found(tmp_path, head=head) == [
        "listen.http_redirect: 127.0.0.1:8443 is listened on twice"
    ]


def test_metrics_need_an_address_of_their_own(tmp_path):
    head = HEAD.replace("[origin", 'metrics = "127.0.0.1:8443"\n[origin')
    assert found(tmp_path, head=head) == ["listen.metrics: 127.0.0.1:8443 is listened on twice"]


def test_free_ports_are_never_the_same(tmp_path):
    head = HEAD.replace('"127.0.0.1:8443"', '["127.0.0.1:0", "127.0.0.1:0"]')
    assert found(tmp_path, head=head) == []


def test_a_group_that_this_openssl_does_not_have(tmp_path):
    config = loaded(tmp_path)
    lacking = config.tls.model_copy(update={"groups": ("X25519", "P-257")})
    assert list(lint.findings(config.model_copy(update={"tls": lacking}), NAMES)) == [
        (("tls", "groups", 1), "this OpenSSL does not know P-257", "")
    ]


def test_a_policy_needs_a_kind(tmp_path):
    assert found(tmp_path, "[policy.entyr]") == [
        "policy.entyr: needs kind = one of versioned, entry, manifest, pass, transparent"
    ]
    [problem] = problems(tmp_path, HEAD + HOST + "[policy.entyr]")
    assert problem.nearest == "entry"


def test_a_built_in_policy_stays_what_it_is(tmp_path):
    assert found(tmp_path, '[policy.entry]\nkind = "pass"') == [
        "policy.entry.kind: 'entry' is built in and of its own kind"
    ]
    assert found(tmp_path, '[policy.entry]\nkind = "entry"') == []


def test_a_lifetime_for_what_is_not_stored(tmp_path):
    why = "has no effect: a policy of kind pass stores nothing"
    assert found(tmp_path, '[policy.api]\nkind = "pass"\nedge_ttl = "1s"') == [
        f"policy.api.edge_ttl: {why}"
    ]
    assert found(tmp_path, rule("one", "/a", "pass", 'override = { stale_if_error = "1h" }')) == [
        f"host.0.rule.0.override.stale_if_error: {why}"
    ]
    assert found(tmp_path, '[policy.pass]\ncompress = ["gzip"]') == [f"policy.pass.compress: {why}"]


def with_url(url, more=""):
    return HEAD.replace("https://assets.internal", url) + more + "\n"


def test_plain_http_needs_to_be_wanted(tmp_path):
    assert found(tmp_path, head=with_url("http://assets.internal")) == [
        "origin.assets.urls: http://assets.internal is not HTTPS; allow_http = true accepts that"
    ]
    assert found(tmp_path, head=with_url("http://assets.internal", "allow_http = true")) == []


def test_verification_of_nothing(tmp_path):
    more = 'allow_http = true\ntls = { ca_file = "ca.pem" }'
    assert found(tmp_path, head=with_url("http://assets.internal", more)) == [
        "origin.assets.tls: has no effect: http://assets.internal is not HTTPS"
    ]


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:8443", "https://127.0.0.1:8443"),
        ("127.0.0.1:8443", "https://localhost:8443"),
        ("0.0.0.0:8443", "https://127.0.0.1:8443"),
        ("[::]:8443", "https://[::1]:8443"),
        ("192.0.2.1:443", "https://192.0.2.1"),
        ("192.0.2.1:8443", "https://www.example:8443"),
    ],
)
def test_an_origin_that_is_ourselves(tmp_path, listen, url):
    head = with_url(url).replace("127.0.0.1:8443", listen, 1)
    assert found(tmp_path, head=head) == [
        f"origin.assets.urls: {url} leads back to our own {listen}: a loop"
    ]


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:8443", "https://127.0.0.1:8444"),
        ("127.0.0.1:8443", "https://127.0.0.2:8443"),
        ("192.0.2.1:8443", "https://localhost:8443"),
        ("0.0.0.0:8443", "https://192.0.2.9:8443"),
        ("0.0.0.0:8443", "https://other.example:8443"),
        ("0.0.0.0:8443", "https://www.example"),
    ],
)
def test_an_origin_that_may_be_somebody_else(tmp_path, listen, url):
    head = with_url(url).replace("127.0.0.1:8443", listen, 1)
    assert found(tmp_path, head=head) == []


def test_a_host_name_belongs_to_one_site(tmp_path):
    second = HOST.replace('"www.example"', '"w.example"') + 'aliases = ["WWW.example."]\n'
    assert found(tmp_path, host=HOST + second) == [
        "host.1.aliases: www.example already belongs to www.example"
    ]


@pytest.mark.parametrize(
    ("host", "said", "nearest"),
    [
        (HOST.replace('"assets"', '"asets"'), "there is no [origin.asets]", "assets"),
        (HOST + 'cors = "zzz"\n', "there is no [cors.zzz]", ""),
        (HOST + rule("one", "/a", "versoned"), "there is no [policy.versoned]", "versioned"),
    ],
)
def test_a_reference_to_nothing(tmp_path, host, said, nearest):
    [problem] = problems(tmp_path, HEAD + host)
    assert (problem.message, problem.nearest) == (said, nearest)


def test_a_reference_to_something_faulty_is_not_a_second_fault(tmp_path):
    head = HEAD.replace("urls =", "connect_timeout = 3\nurls =")
    assert found(tmp_path, head=head) == [
        'origin.assets.connect_timeout: expected a duration like "30s" in quotes, not 3'
    ]


def test_a_rule_behind_one_that_takes_all(tmp_path):
    rules = rule("all", "/**") + rule("late", ["/v{semver}/**", "/x"])
    assert found(tmp_path, rules) == [
        "host.0.rule.1.path: the rule is never reached: earlier rules match all its paths"
    ]


def test_a_pattern_that_never_gets_a_path(tmp_path):
    rules = rule("js", "/*.js") + rule("late", ["/a.js", "/b"])
    assert found(tmp_path, rules) == [
        "host.0.rule.1.path: '/a.js' is never reached: earlier rules match all its paths"
    ]


def test_rules_of_another_host_are_in_nobodys_way(tmp_path):
    other = HOST.replace("www.example", "other.example")
    text = HOST + rule("all", "/**") + other + rule("all", "/a")
    assert found(tmp_path, host=text) == []


def test_a_rule_id_is_used_once_in_a_host(tmp_path):
    assert found(tmp_path, rule("one", "/a") + rule("one", "/b")) == [
        "host.0.rule.1.id: 'one' is the id of an earlier rule of www.example"
    ]
