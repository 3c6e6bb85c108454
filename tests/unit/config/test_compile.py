from pathlib import Path

import pytest

from edgeproxy.cache.key import QueryPolicy
from edgeproxy.config.compile import (
    access_log_settings,
    compile_sites,
    disk_settings,
    https_addresses,
    limits,
    metrics_addresses,
    origin_settings,
    redirect_addresses,
    share_of_worker,
    state_directory,
    tls_parameters,
    workers,
)
from edgeproxy.store.disk.store import DiskSettings
from edgeproxy.tls.parameters import TlsParameters
from edgeproxy.wire.limits import Limits
from tests.support.configs import HEAD, loaded

ASSETS = object()


def site(config):
    [only] = compile_sites(config, {"assets": ASSETS}).all
    return only


RULES = """
aliases = ["w.example"]
headers = { set = { x-a = "1" }, remove = ["Server"] }

[[host.rule]]
id = "versioned"
path = ["/v{semver}/**", "/**/*.{hash:8+}.js"]
policy = "versioned"

[[host.rule]]
id = "entry"
path = "/bootstrap.js"
policy = "entry"
override.edge_ttl = "2m"
override.compress = ["gzip", "br"]
override.headers = { set = { x-b = "2" }, remove = ["x-c"] }

[[host.rule]]
id = "manifest"
path = "/manifest.json"
policy = "manifest"

[[host.rule]]
id = "rest"
path = "/**"
policy = "pass"
"""


def test_a_site_is_joined_to_its_origin_and_names(tmp_path):
    compiled = site(loaded(tmp_path, RULES))
    assert compiled.origin is ASSETS
    assert compiled.hosts == ("www.example", "w.example")
    assert compiled.set_fields == ((b"x-a", b"1"),)
    assert compiled.remove_fields == {b"server"}


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        (b"/v1.0.0/w.js", "versioned"),
        (b"/bootstrap.js", "entry"),
        (b"/manifest.json", "manifest"),
        (b"/other", "rest"),
        (b"/v1.0.0/..%2fother", "ambiguous-path"),
    ],
)
def test_paths_find_their_rules(tmp_path, path, rule):
    assert site(loaded(tmp_path, RULES)).rule_for(path).id == rule


def test_a_versioned_rule_says_what_the_product_promises(tmp_path):
    rule = site(loaded(tmp_path, RULES)).rules[0]
    assert rule.kind == "versioned"
    assert rule.cache.edge_lifetime == 31536000
    assert rule.browser_cache_control == b"public, max-age=31536000, immutable"
    assert rule.query == QueryPolicy("ignore")
    assert rule.forward_fields == {b"accept-encoding"}
    assert rule.generates_validators
    assert rule.codings == (b"br", b"zstd", b"gzip")
    assert not rule.cache.honours_request_directives


def test_an_override_reaches_the_rule(tmp_path):
    rule = site(loaded(tmp_path, RULES)).rules[1]
    assert rule.browser_cache_control == b"public, max-age=86400, must-revalidate"
    assert rule.cache.edge_lifetime == 120
    assert rule.codings == (b"gzip", b"br")
    assert rule.set_fields == ((b"x-b", b"2"),)
    assert rule.remove_fields == {b"x-c"}


def test_a_pass_rule_stores_nothing_and_forwards_everything(tmp_path):
    rule = site(loaded(tmp_path, RULES)).rules[3]
    assert not rule.cache.may_store
    assert rule.codings == ()
    assert rule.forward_fields == "all"
    assert rule.browser_cache_control is None
    assert rule.cache.edge_lifetime is None


def test_without_rules_a_site_is_a_plain_shared_cache(tmp_path):
    config = loaded(tmp_path, '[cache.memory]\nmax_object = "1MiB"\n')
    rule = site(config).rule_for(b"/anything")
    assert (rule.id, rule.kind, rule.forward_fields) == ("", "transparent", "all")
    assert rule.cache.body_bytes_max == 1024**2
    assert rule.cache.honours_request_directives
    assert not rule.generates_validators
    assert rule.codings == ()


@pytest.mark.parametrize(
    ("global_table", "host_key", "value"),
    [
        ("", "", None),
        ("", "hsts = true", b"max-age=31536000; includeSubDomains"),
        ("", "hsts = false", None),
        ("[hsts]\npreload = true", "", b"max-age=31536000; includeSubDomains; preload"),
        ('[hsts]\nmax_age = "2y"', "hsts = true", b"max-age=63072000; includeSubDomains"),
        ("[hsts]", "hsts = false", None),
        ("[hsts]", 'hsts = { max_age = "0s", include_subdomains = false }', b"max-age=0"),
    ],
)  # fmt: skip
def test_hsts_is_what_the_host_or_else_the_whole_says(tmp_path, global_table, host_key, value):
    assert site(loaded(tmp_path, f"{host_key}\n{global_table}\n")).hsts == value


@pytest.mark.parametrize(
    ("keys", "bound", "value"),
    [
        ("", 8443, None),
        ("http3 = true", 8443, b'h3=":8443"; ma=86400'),
        ("http3 = true", None, b'h3=":8443"; ma=86400'),
        ('http3 = true\nalt_svc_max_age = "60s"', None, b'h3=":8443"; ma=60'),
        ("http3 = true\nalt_svc_port = 4433", 8443, b'h3=":4433"; ma=86400'),
        ('http3 = true\nalt_svc = "none"', 8443, None),
        ('alt_svc = "clear"', 8443, b"clear"),
    ],
)
def test_what_is_said_of_http3(tmp_path, keys, bound, value):
    head = HEAD.replace("[listen]\n", f"[listen]\n{keys}\n")
    config = loaded(tmp_path, head=head)

    def said(*, has_http3):
        origins = {"assets": ASSETS}
        [made] = compile_sites(config, origins, https_port=bound, has_http3=has_http3).all
        return made.alt_svc

    assert said(has_http3=True) == value
    assert said(has_http3=False) == (value if value == b"clear" else None)


CORS = """
cors = "customers"
[cors.customers]
origins = ["https://shop.example", "https://*.brand.example:8443"]
headers = ["X-One", "x-two"]
expose = ["ETag"]
max_age = "10m"
credentials = true
"""


def test_cors_lists_become_finished_values(tmp_path):
    cors = site(loaded(tmp_path, CORS)).cors
    assert cors.allows(b"https://shop.example")
    assert cors.allows(b"https://a.brand.example:8443")
    assert not cors.allows(b"https://a.brand.example")
    assert cors.methods == b"GET, HEAD"
    assert (cors.headers, cors.expose) == (b"x-one, x-two", b"etag")
    assert (cors.max_age_seconds, cors.allows_credentials) == (600, True)
    assert not cors.is_open


def test_cors_for_everybody(tmp_path):
    cors = site(loaded(tmp_path, 'cors = "all"\n[cors.all]\norigins = "*"\n')).cors
    assert cors.is_open
    assert (cors.origins, cors.subdomains) == (frozenset(), ())


def test_origins_become_settings(tmp_path):
    more = """
host = "Assets.example"
tls = { ca_file = "ca.pem", sni = "verify.example" }
connect_timeout = "1s"
retries = 0
"""
    [settings] = origin_settings(loaded(tmp_path, head=HEAD + more)).values()
    assert (settings.name, settings.url) == ("assets", "https://assets.internal")
    assert (settings.host, settings.sni) == ("assets.example", "verify.example")
    assert settings.ca_file == Path(tmp_path / "ca.pem")
    assert (settings.connect_timeout_seconds, settings.retries) == (1.0, 0)
    assert settings.first_byte_timeout_seconds == 15.0


def test_limits_are_the_defaults_unless_said(tmp_path):
    assert limits(loaded(tmp_path)) == Limits()
    said = limits(loaded(tmp_path, '[limits]\nidle_timeout = "5s"\nmax_header_bytes = "64KiB"\n'))
    assert said.idle_seconds == 5.0
    assert said.field_section_bytes_max == said.field_block_bytes_max == 65536


def test_addresses_are_pairs(tmp_path):
    assert https_addresses(loaded(tmp_path)) == [("127.0.0.1", 8443)]
    assert redirect_addresses(loaded(tmp_path)) == []
    head = HEAD.replace("[origin", 'http_redirect = ["[::1]:80"]\n[origin')
    assert redirect_addresses(loaded(tmp_path, head=head)) == [("::1", 80)]


def test_client_addresses_are_cut_unless_said(tmp_path):
    assert access_log_settings(loaded(tmp_path)).client_prefix_ipv4 == 24
    full = access_log_settings(
        loaded(tmp_path, '[log]\naccess = { client_ip = "full", format = "console" }\n')
    )
    assert (full.client_prefix_ipv4, full.client_prefix_ipv6) == (32, 128)
    assert full.style == "console"


def test_what_every_context_has_in_common(tmp_path):
    assert tls_parameters(loaded(tmp_path)) == TlsParameters()
    said = '[tls]\ngroups = ["P-384", "X25519"]\nticket_lifetime = "0s"\n'
    assert tls_parameters(loaded(tmp_path, head=HEAD + said)) == TlsParameters(
        groups=("P-384", "X25519"), ticket_lifetime_seconds=0
    )


def test_where_metrics_are_shown(tmp_path):
    assert metrics_addresses(loaded(tmp_path)) == []
    head = HEAD.replace("[origin.assets]", 'metrics = "127.0.0.1:9100"\n[origin.assets]', 1)
    assert metrics_addresses(loaded(tmp_path, head=head)) == [("127.0.0.1", 9100)]


@pytest.mark.parametrize(
    ("said", "environ", "folder"),
    [
        ("", {}, "/var/lib/edgeproxy"),
        ("", {"STATE_DIRECTORY": ""}, "/var/lib/edgeproxy"),
        ("", {"STATE_DIRECTORY": "/a:/b"}, "/a"),
        ('[pop]\nstate_dir = "/c"\n', {"STATE_DIRECTORY": "/a"}, "/c"),
    ],
)
def test_where_state_is_kept(tmp_path, said, environ, folder):
    assert state_directory(loaded(tmp_path, head=HEAD + said), environ) == Path(folder)


def test_a_disk_tier_is_what_the_configuration_says(tmp_path):
    text = '[cache.disk]\npath = "cache"\nsize = "64MiB"\nfsync = "data"\n'
    settings = disk_settings(loaded(tmp_path, head=HEAD + text))
    assert settings == DiskSettings(tmp_path / "cache", 64 * 1024**2, 1024**3, fsync=True)


@pytest.mark.parametrize(
    ("said", "expected"), [("", 1024**3), ('max_object = "1MiB"', 16 * 1024**2)]
)
def test_what_is_stored_at_all_may_be_as_large_as_the_larger_tier_takes(tmp_path, said, expected):
    text = f'[cache.disk]\npath = "cache"\n{said}\n'
    policy = site(loaded(tmp_path, head=HEAD + text)).rule_for(b"/anything").cache
    assert policy.body_bytes_max == expected


def test_without_a_table_there_is_no_disk_tier(tmp_path):
    assert disk_settings(loaded(tmp_path)) is None


@pytest.mark.parametrize(
    ("said", "cpus", "count"),
    [("", 3, 3), ('workers = "auto"', 0, 1), ('workers = "auto"', 2, 2), ("workers = 5", 2, 5)],
)
def test_workers_are_as_many_as_said_or_as_cpus(tmp_path, said, cpus, count):
    head = HEAD.replace("[origin", f"{said}\n[origin", 1)
    assert workers(loaded(tmp_path, head=head), cpus) == count


def test_workers_share_memory_and_connections(tmp_path):
    said = """
    [cache.memory]
    size = "100MiB"
    max_object = "60MiB"
    [limits]
    max_connections = 101
    max_connections_per_client = 80
    """
    config = loaded(tmp_path, head=HEAD + said)
    assert share_of_worker(config, 1) == config
    share = share_of_worker(config, 2)
    assert (share.cache.memory.size, share.cache.memory.max_object) == (50 * 2**20, 50 * 2**20)
    assert limits(share).connections_max == 51
    assert limits(share).connections_per_client_max == 51
    assert share.host == config.host


@pytest.mark.parametrize(("said", "per_client"), [("", 25), ("max_connections_per_client = 0", 0)])
def test_one_clients_part_is_one_of_the_workers_part(tmp_path, said, per_client):
    config = loaded(tmp_path, head=HEAD + f"[limits]\nmax_connections = 200\n{said}\n")
    assert limits(share_of_worker(config, 2)).connections_per_client_max == per_client
