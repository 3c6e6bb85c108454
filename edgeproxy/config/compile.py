"""From a `Config` to the frozen values that each part of the program reads: nobody gets the whole.

Pure: every function maps a valid configuration to one slice, in the vocabulary of the part that
reads it. Nothing is checked again here and nothing is opened.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.config.policies import resolve
from edgeproxy.config.schema import Config, Cors, Headers, Host, Hsts, PolicyKind, PolicyOptions
from edgeproxy.config.schema import Rule as RuleConfig
from edgeproxy.edge.sites import CorsPolicy, Rule, Site, Sites
from edgeproxy.http.upstream import Upstream
from edgeproxy.observe.access_log import AccessLogSettings
from edgeproxy.origin.settings import OriginSettings
from edgeproxy.store.disk.store import DiskSettings
from edgeproxy.tls.parameters import TlsParameters
from edgeproxy.wire.limits import Limits

T = TypeVar("T")

# What one client's address may have of all connections, where nothing is said.
_CLIENTS_PART = 4

LIMITS = {
    "tls_handshake_timeout": "tls_handshake_seconds",
    "preface_timeout": "preface_seconds",
    "header_read_timeout": "headers_seconds",
    "idle_timeout": "idle_seconds",
    "write_stall_timeout": "write_stall_seconds",
    "zero_window_timeout": "zero_window_seconds",
    "minimum_rate_after": "minimum_rate_after_seconds",
    "minimum_rate": "minimum_rate_bytes_per_second",
    "connection_age_max": "connection_age_seconds",
    "max_header_bytes": "field_section_bytes_max",
    "max_header_fields": "fields_max",
    "max_url_bytes": "target_bytes_max",
    "max_unsent_bytes": "unsent_bytes_max",
    "max_streams_per_connection": "concurrent_streams_max",
    "max_requests_per_connection": "requests_per_connection_max",
    "max_pipelined_requests": "pipelined_requests_max",
    "max_connections": "connections_max",
}
"""Which key of `[limits]` is which limit; `drain_timeout` is the process's, not a connection's."""


def limits(config: Config) -> Limits:
    """Return the limits of downstream connections."""
    said = {field: getattr(config.limits, key) for key, field in LIMITS.items()}
    # HPACK expands: a block of the decoded size can never hold less than that, as an operator
    # who raises the one means the other.
    block = max(Limits().field_block_bytes_max, config.limits.max_header_bytes)
    per_client = config.limits.max_connections_per_client
    if per_client is None:
        per_client = max(1, config.limits.max_connections // _CLIENTS_PART)
    return Limits(**said, field_block_bytes_max=block, connections_per_client_max=per_client)


def workers(config: Config, cpus: int) -> int:
    """Return how many processes serve; `cpus` is how many CPUs they may use."""
    said = config.listen.workers
    return max(1, cpus) if said == "auto" else said


def share_of_worker(config: Config, count: int) -> Config:
    """Return what one of so many workers may have: its part of memory and of connections.

    What one client's address may have stays as it is where it is said, since the kernel deals out
    connections by chance; it is never more than the worker's part.
    """
    memory, said = config.cache.memory, config.limits
    size, most = max(1, memory.size // count), -(-said.max_connections // count)
    per_client = said.max_connections_per_client
    if per_client is not None:
        per_client = min(per_client, most)
    return config.model_copy(
        update={
            "cache": config.cache.model_copy(
                update={
                    "memory": memory.model_copy(
                        update={"size": size, "max_object": min(memory.max_object, size)}
                    )
                }
            ),
            "limits": said.model_copy(
                update={"max_connections": most, "max_connections_per_client": per_client}
            ),
        }
    )


def https_addresses(config: Config) -> list[tuple[str, int]]:
    """Return the addresses for TLS."""
    return [(address.host, address.port) for address in config.listen.https]


def redirect_addresses(config: Config) -> list[tuple[str, int]]:
    """Return the addresses for plain HTTP."""
    return [(address.host, address.port) for address in config.listen.http_redirect or ()]


def metrics_addresses(config: Config) -> list[tuple[str, int]]:
    """Return the addresses for metrics."""
    return [(address.host, address.port) for address in config.listen.metrics or ()]


def state_directory(config: Config, environ: Mapping[str, str]) -> Path:
    """Return the folder for what outlives a process; systemd names the first of several."""
    if config.pop.state_dir is not None:
        return config.pop.state_dir
    named = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(named or "/var/lib/edgeproxy")


def disk_settings(config: Config) -> DiskSettings | None:
    """Return where the disk tier is, None without one."""
    disk = config.cache.disk
    if disk is None:
        return None
    return DiskSettings(
        disk.path, disk.size, body_bytes_max=disk.max_object, fsync=disk.fsync == "data"
    )


def tls_parameters(config: Config) -> TlsParameters:
    """Return what every TLS context has in common."""
    tls = config.tls
    return TlsParameters(groups=tls.groups, ticket_lifetime_seconds=tls.ticket_lifetime)


def access_log_settings(config: Config) -> AccessLogSettings:
    """Return how access-log lines look; whether there are any is `config.log.access.enabled`."""
    access = config.log.access
    if access.client_ip == "full":
        return AccessLogSettings(access.format, client_prefix_ipv4=32, client_prefix_ipv6=128)
    return AccessLogSettings(access.format)


def origin_settings(config: Config) -> dict[str, OriginSettings]:
    """Return each origin's settings by name, unused ones too."""
    return {
        name: OriginSettings(
            name=name,
            url=origin.urls[0],
            host=origin.host or "",
            sni=origin.tls.sni or "",
            ca_file=origin.tls.ca_file,
            connect_timeout_seconds=origin.connect_timeout,
            first_byte_timeout_seconds=origin.first_byte_timeout,
            between_bytes_timeout_seconds=origin.between_bytes_timeout,
            total_timeout_seconds=origin.total_timeout,
            connections_max=origin.connections_max,
            retries=origin.retries,
            dns_ttl_seconds=origin.dns_ttl,
        )
        for name, origin in config.origin.items()
    }


def compile_sites(
    config: Config,
    origins: Mapping[str, Upstream],
    *,
    https_port: int | None = None,
    has_http3: bool = False,
) -> Sites:
    """Return every site, joined to its origin by name.

    `https_port` is where the first address listens, which its configuration may have left open;
    `has_http3` tells that somebody hears HTTP/3.
    """
    port = config.listen.alt_svc_port or https_port or config.listen.https[0].port
    alt_svc = _alt_svc(config, port if has_http3 else 0)
    return Sites(_site(host, config, origins[host.origin], alt_svc) for host in config.host)


def _alt_svc(config: Config, port: int) -> bytes | None:
    """Return what responses say of HTTP/3 (RFC 7838 section 3)."""
    listen = config.listen
    if listen.alt_svc == "clear":
        return b"clear"
    if listen.alt_svc == "none" or not listen.http3 or not port:
        return None
    return b'h3=":%d"; ma=%d' % (port, listen.alt_svc_max_age)


def _site(host: Host, config: Config, origin: Upstream, alt_svc: bytes | None) -> Site:
    transparent = RuleConfig.model_construct(
        id="", path=(), policy="transparent", override=PolicyOptions()
    )
    return Site(
        name=host.name,
        hosts=(host.name, *host.aliases),
        origin=origin,
        rules=tuple(_rule(rule, config) for rule in host.rule),
        fallback=_rule(transparent, config),
        cors=None if host.cors is None else _cors(config.cors[host.cors]),
        hsts=_hsts(host, config),
        alt_svc=alt_svc,
        set_fields=host.headers.set,
        remove_fields=host.headers.remove,
    )


def _rule(rule: RuleConfig, config: Config) -> Rule:
    kind, options = resolve(rule, config)
    headers = options.headers or Headers()
    return Rule(
        id=rule.id,
        kind=kind,
        patterns=rule.path,
        cache=_cache_policy(kind, options, _body_bytes_max(config)),
        query=_said(options.query),
        browser_cache_control=None if options.browser == b"origin" else options.browser,
        forward_fields=_said(options.forward_fields),
        set_fields=headers.set,
        remove_fields=headers.remove,
        generates_validators=_said(options.validators),
        codings=_said(options.compress),
    )


def _said(option: T | None) -> T:
    """Return what every kind has a default for."""
    if option is None:
        raise ValueError("a kind of policy without a default")
    return option


def _body_bytes_max(config: Config) -> int:
    """Return what a body may have that is stored anywhere."""
    memory, disk = config.cache.memory, config.cache.disk
    return memory.max_object if disk is None else max(memory.max_object, disk.max_object)


def _cache_policy(kind: PolicyKind, options: PolicyOptions, body_bytes_max: int) -> CachePolicy:
    return CachePolicy(
        edge_lifetime=None if options.edge_ttl == "origin" else options.edge_ttl,
        default_lifetime=options.default_ttl,
        stale_while_revalidate=options.stale_while_revalidate,
        stale_if_error=options.stale_if_error,
        may_store=kind != "pass",
        # A browser's reload says no-cache: under a rule it must not reach the origin each time.
        honours_request_directives=kind in ("pass", "transparent"),
        negative_lifetime=_said(options.negative_ttl),
        body_bytes_max=body_bytes_max,
    )


def _cors(cors: Cors) -> CorsPolicy:
    exact = frozenset(origin.encode() for origin in cors.origins if "*" not in origin)
    parts = [origin.split("*") for origin in cors.origins if origin != "*" and "*" in origin]
    return CorsPolicy(
        origins=exact,
        subdomains=tuple((prefix.encode(), suffix.encode()) for prefix, suffix in parts),
        is_open="*" in cors.origins,
        methods=", ".join(cors.methods).encode(),
        headers=b", ".join(cors.headers),
        expose=b", ".join(cors.expose),
        max_age_seconds=cors.max_age,
        allows_credentials=cors.credentials,
    )


def _hsts(host: Host, config: Config) -> bytes | None:
    chosen: Hsts | None = config.hsts
    if isinstance(host.hsts, Hsts):
        chosen = host.hsts
    elif host.hsts is not None:
        chosen = (config.hsts or Hsts()) if host.hsts else None
    if chosen is None:
        return None
    value = f"max-age={chosen.max_age}"
    value += "; includeSubDomains" if chosen.include_subdomains else ""
    value += "; preload" if chosen.preload else ""
    return value.encode()
