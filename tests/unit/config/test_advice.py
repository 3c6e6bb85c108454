import pytest

from tests.support.configs import HEAD, HOST, judged


def advice(folder, policy, path, more="", extra=""):
    rule = f'\n[[host.rule]]\nid = "r"\npath = "{path}"\npolicy = "{policy}"\n{more}\n{extra}'
    return [f"{w.path}: {w.message}" for w in judged(folder, HEAD + HOST + rule).warnings]


@pytest.mark.parametrize(
    ("policy", "path", "more"),
    [
        ("versioned", "/v{semver}/**", ""),
        ("versioned", "/**/*.{hash:8+}.{js,css}", ""),
        ("versioned", "/widget-2.1.0/**", ""),
        ("entry", "/bootstrap.js", ""),
        ("entry", "/**", ""),
        ("entry", "/static/**/*.js", ""),
        ("pass", "/**/*.php", ""),
        ("transparent", "/**/*.js", ""),
        ("entry", "/**/*.js", 'override = { edge_ttl = "origin" }'),
    ],
)
def test_what_is_wise_gets_no_advice(tmp_path, policy, path, more):
    assert advice(tmp_path, policy, path, more) == []


def test_a_year_for_a_path_that_names_no_version(tmp_path):
    [warning] = advice(tmp_path, "versioned", "/static/*.js")
    assert "browsers would keep a changed file for a year" in warning


def test_a_long_life_in_the_edge_for_what_changes(tmp_path):
    [warning] = advice(tmp_path, "entry", "/a.js", 'override = { edge_ttl = "2h" }')
    assert "over an hour" in warning


def test_immutable_for_what_changes(tmp_path):
    more = 'override = { browser = "public, max-age=60, immutable" }'
    [warning] = advice(tmp_path, "manifest", "/a.json", more)
    assert "immutable" in warning


def test_a_lifetime_for_an_ending(tmp_path):
    [warning] = advice(tmp_path, "entry", "/**/*.css")
    assert warning.startswith("host.0.rule.0.path: '/**/*.css' gives a lifetime to a file's ending")


def test_credentials_over_plain_http(tmp_path):
    extra = '[cors.c]\norigins = "http://a.example"\ncredentials = true\n'
    host_key = 'cors = "c"\n'
    text = HEAD + extra + HOST + host_key
    [warning] = judged(tmp_path, text).warnings
    assert warning.path == "host.0.cors"
