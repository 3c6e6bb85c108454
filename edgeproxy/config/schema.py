"""Every key that a configuration may hold: its name, kind, default and meaning.

Strict and frozen: unknown keys are errors, nothing is coerced, nothing changes after loading. Only
what this version really does is here; a key that it does not know stops the start. Rules between
keys that no single table can see (references, files, reachability) are `lint`'s.

The descriptions are the reference manual (`reference`), so they are written for operators.
"""

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from edgeproxy.config.tables import Cache, Flag, Log, Section
from edgeproxy.config.units import format_duration
from edgeproxy.config.values import (
    Authority,
    Codings,
    Duration,
    Expects,
    FieldName,
    FieldNames,
    FieldTable,
    FieldValue,
    FilePath,
    ForwardFields,
    HostName,
    Lifetime,
    ListenAddress,
    ListOf,
    Name,
    OneOrMore,
    PageOrigin,
    Pattern,
    Query,
    Seconds,
    Size,
    TicketLifetime,
    Timeout,
    Url,
    WorkerCount,
)
from edgeproxy.tls.parameters import TlsParameters
from edgeproxy.wire.limits import Limits as WireLimits

YEAR = 31_536_000
_DEFAULTS = WireLimits()
_TLS_DEFAULTS = TlsParameters()

Count = Annotated[int, Field(ge=1, le=1_000_000), Expects("whole number")]
ClientCount = Annotated[int, Field(ge=0, le=1_000_000), Expects("whole number")]
# The keys of `tls.parameters.GROUPS`, for messages that know the nearest one.
GroupName = Literal[
    "X25519MLKEM768",
    "SecP256r1MLKEM768",
    "SecP384r1MLKEM1024",
    "X25519",
    "X448",
    "P-256",
    "P-384",
    "P-521",
]
SniPolicy = Literal["default", "reject"]
PolicyKind = Literal["versioned", "entry", "manifest", "pass", "transparent"]


class Pop(Section):
    """The point of presence itself."""

    name: Name = Field(
        default="edgeproxy", description="Names this PoP in Cache-Status, Via and CDN-Loop."
    )
    state_dir: FilePath | None = Field(
        default=None,
        description="Folder of the control socket and of what is kept over restarts; "
        "default: `$STATE_DIRECTORY`, else `/var/lib/edgeproxy`.",
    )


class Listen(Section):
    """Where clients are heard."""

    https: OneOrMore[ListenAddress] = Field(
        description="Addresses for HTTP/2 and HTTP/1.1 over TLS 1.3; port 0 takes a free one."
    )
    http_redirect: OneOrMore[ListenAddress] | None = Field(
        default=None, description="Addresses where plain HTTP is answered with a redirect to HTTPS."
    )
    http3: Flag = Field(
        default=False,
        description="Also serve HTTP/3, over UDP on the same addresses and ports as `https`.",
    )
    alt_svc: Literal["advertise", "clear", "none"] = Field(
        default="advertise",
        description="What responses say of HTTP/3 (RFC 7838): that it is there, while it is; that "
        "clients are to forget that it was; nothing.",
    )
    alt_svc_max_age: Duration = Field(
        default=86400.0, description="How long a client may remember that HTTP/3 is there."
    )
    alt_svc_port: Annotated[int, Field(ge=1, le=65535), Expects("port")] | None = Field(
        default=None,
        description="The UDP port that clients reach HTTP/3 by, where it is not that of the first "
        "`https` address: behind a mapping of ports.",
    )
    early_data: Flag = Field(
        default=False,
        description="Let clients who come back over HTTP/3 ask before their handshake is complete "
        "(0-RTT, RFC 8470). What comes so early may be somebody's recording: only what the cache "
        "has fresh is answered, to GET and HEAD, everything else gets 425; each ticket is good "
        "for it once, at the worker that gave it out. TCP stays without.",
    )
    metrics: OneOrMore[ListenAddress] | None = Field(
        default=None,
        description="Addresses of `/metrics` and `/healthz` over plain HTTP; not for everybody.",
    )
    workers: WorkerCount = Field(
        default="auto",
        description="Processes that serve, which share what memory and connections are allowed; "
        '"auto": one for each CPU that may be used. Each has a memory of its own; the disk tier '
        "and fills are common to all, so that the origin is asked once for an object.",
    )


class Limits(Section):
    """What one connection may ask of the edge."""

    tls_handshake_timeout: Timeout = Field(
        default=_DEFAULTS.tls_handshake_seconds, description="Time for the TLS handshake."
    )
    preface_timeout: Timeout = Field(
        default=_DEFAULTS.preface_seconds,
        description="Time for the first request or HTTP/2 preface.",
    )
    header_read_timeout: Timeout = Field(
        default=_DEFAULTS.headers_seconds,
        description="Time for one complete request field section.",
    )
    idle_timeout: Timeout = Field(
        default=_DEFAULTS.idle_seconds,
        description="How long a connection may rest between requests.",
    )
    write_stall_timeout: Timeout = Field(
        default=_DEFAULTS.write_stall_seconds,
        description="How long a client may take nothing.",
    )
    zero_window_timeout: Timeout = Field(
        default=_DEFAULTS.zero_window_seconds,
        description="How long an HTTP/2 window may stay closed.",
    )
    minimum_rate_after: Timeout = Field(
        default=_DEFAULTS.minimum_rate_after_seconds,
        description="When `minimum_rate` begins to count for a response.",
    )
    minimum_rate: Size = Field(
        default=_DEFAULTS.minimum_rate_bytes_per_second,
        description="A client that reads less per second is cut off.",
    )
    connection_age_max: Timeout = Field(
        default=_DEFAULTS.connection_age_seconds,
        description="A connection is ended in order at this age.",
    )
    drain_timeout: Duration = Field(
        default=30.0, description="How long requests in flight may take to finish at shutdown."
    )
    max_header_bytes: Size = Field(
        default=_DEFAULTS.field_section_bytes_max, description="A request's fields, decoded."
    )
    max_header_fields: Count = Field(
        default=_DEFAULTS.fields_max, description="Fields of one request."
    )
    max_url_bytes: Size = Field(default=_DEFAULTS.target_bytes_max, description="Path and query.")
    max_unsent_bytes: Size = Field(
        default=_DEFAULTS.unsent_bytes_max,
        description="Output of one connection that may wait; beyond it nothing more is read.",
    )
    max_streams_per_connection: Count = Field(
        default=_DEFAULTS.concurrent_streams_max, description="Concurrent HTTP/2 streams."
    )
    max_requests_per_connection: Count = Field(
        default=_DEFAULTS.requests_per_connection_max,
        description="A connection is ended in order after so many requests.",
    )
    max_pipelined_requests: Count = Field(
        default=_DEFAULTS.pipelined_requests_max, description="HTTP/1.1 requests read ahead."
    )
    max_connections: Count = Field(
        default=_DEFAULTS.connections_max, description="Connections at one time."
    )
    max_connections_per_client: ClientCount | None = Field(
        default=None,
        description="Connections of one client address (IPv6: of one /64) at one time; "
        "0: as many as there are; default: a quarter of `max_connections`.",
    )


def _without_repetition(value: object) -> object:
    """Refuse a group that is listed twice; everything else is the model's to judge."""
    if not isinstance(value, list):
        return value
    for item in value:
        if value.count(item) > 1:
            raise ValueError(f"{item!r} is listed twice")
    return tuple(value)


class Tls(Section):
    """Certificates and handshakes. TLS 1.3 always."""

    certs_dir: FilePath | None = Field(
        default=None,
        description="Folder with `<host>/fullchain.pem` and `key.pem` for hosts without `cert`; "
        "a second kind is `fullchain-rsa.pem` and `key-rsa.pem` (or `-ecdsa`), and `issuer.pem` "
        "beside them is for OCSP where a chain does not hold it.",
    )
    min_version: Literal["1.3"] = Field(default="1.3", description="There is no other.")
    groups: Annotated[
        tuple[GroupName, ...], BeforeValidator(_without_repetition), Expects("list")
    ] = Field(
        default=("X25519MLKEM768", "X25519", "P-256"),
        min_length=1,
        description="Key exchange groups, most wanted first.",
    )
    unknown_sni: SniPolicy = Field(
        default="default",
        description="For a name that no certificate covers: the first host's, or an alert.",
    )
    no_sni: SniPolicy | None = Field(
        default=None,
        description="For clients that say no name; default: as `unknown_sni`.",
    )
    ticket_lifetime: TicketLifetime = Field(
        default=_TLS_DEFAULTS.ticket_lifetime_seconds,
        description="How long a client may wait before it resumes its session; `0s`: none is "
        "resumed. After a week at most a client shakes hands in full.",
    )
    ocsp_stapling: Literal["auto", "off"] = Field(
        default="auto",
        description="`auto`: for every certificate that names a responder.",
    )
    overlap: Duration = Field(
        default=3600.0,
        description="How long a certificate that was replaced is kept, to go back to it.",
    )


class OriginTls(Section):
    """How an origin proves who it is. It always has to."""

    ca_file: FilePath | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the system's."
    )
    sni: HostName | None = Field(
        default=None,
        description="Server name to ask for and to verify; default: `host` without its port.",
    )


class Origin(Section):
    """Where content comes from."""

    urls: ListOf[Url] = Field(
        min_length=1, max_length=1, description="Where it is; in this version exactly one."
    )
    host: Authority | None = Field(
        default=None, description="Host of every request; default: the URL's. Never the client's."
    )
    allow_http: Flag = Field(default=False, description="Accept a URL without TLS.")
    tls: OriginTls = Field(
        default=OriginTls(), description="Verification of the origin's certificate."
    )
    connect_timeout: Timeout = Field(
        default=2.0, description="Time for connecting, TLS handshake included."
    )
    first_byte_timeout: Timeout = Field(
        default=15.0, description="Time until the response's fields are there."
    )
    between_bytes_timeout: Timeout = Field(default=15.0, description="Longest pause within a body.")
    total_timeout: Timeout = Field(default=300.0, description="Time for a whole exchange.")
    retries: Annotated[int, Field(ge=0, le=3), Expects("0 to 3")] = Field(
        default=1, description="Further attempts of requests that may be repeated."
    )
    connections_max: Count = Field(
        default=64,
        description="Connections at one time; one client address gets three quarters at most.",
    )
    dns_ttl: Duration = Field(default=30.0, description="How long a resolved address is believed.")


class Headers(Section):
    """Response fields to change on their way to the client."""

    set: FieldTable = Field(
        default=(), description="Fields to set, in place of any that are there."
    )
    remove: FieldNames = Field(default=frozenset(), description="Fields to remove.")


class PolicyOptions(Section):
    """What a policy decides; what is left out comes from its kind."""

    edge_ttl: Lifetime | None = Field(
        default=None,
        description="How long the edge reuses a response, whatever lifetime the origin states "
        '(`no-store`, `private` and `no-cache` are still obeyed); `"origin"`: as it states.',
    )
    default_ttl: Seconds | None = Field(
        default=None, description="How long where the origin states no lifetime."
    )
    negative_ttl: Seconds | None = Field(
        default=None, description="How long 404 and 410 are reused."
    )
    stale_while_revalidate: Seconds | None = Field(
        default=None, description="How long a stale response is served while it is validated."
    )
    stale_if_error: Seconds | None = Field(
        default=None, description="How long a stale response is served while the origin fails."
    )
    browser: FieldValue | None = Field(
        default=None, description='Cache-Control for clients; `"origin"`: what the origin sent.'
    )
    query: Query | None = Field(
        default=None, description="Which of the query is forwarded and part of the cache key."
    )
    forward_fields: ForwardFields | None = Field(
        default=None, description="Which request fields reach the origin."
    )
    validators: Flag | None = Field(
        default=None,
        description="Whether to make the ETag and Last-Modified that the origin left out.",
    )
    compress: Codings | None = Field(
        default=None,
        description="In which codings the edge asks for content and makes them itself, the first "
        "of those that a client likes equally; `[]`: it takes no part in coding.",
    )
    headers: Headers | None = Field(default=None, description="Response fields to set and remove.")


class Policy(PolicyOptions):
    """A named policy for rules to use."""

    kind: PolicyKind | None = Field(
        default=None,
        description="Which defaults to start from; may be left out where the name is a kind.",
    )


class Cors(Section):
    """Which pages may read responses from scripts."""

    origins: OneOrMore[PageOrigin] = Field(description="Origins of the pages.")
    methods: OneOrMore[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]] = Field(
        default=("GET", "HEAD"), description="Methods that a preflight allows."
    )
    headers: ListOf[FieldName] = Field(
        default=(), description="Request fields that a preflight allows."
    )
    expose: ListOf[FieldName] = Field(
        default=(), description="Response fields that scripts may read."
    )
    max_age: Seconds = Field(default=7200, description="How long a preflight is remembered.")
    credentials: Flag = Field(default=False, description="Whether requests may carry cookies.")

    @model_validator(mode="after")
    def _credentials_need_names(self) -> "Cors":
        if self.credentials and "*" in self.origins:
            raise ValueError(
                'credentials with origins = ["*"] would open every session to any page'
            )
        return self


class Hsts(Section):
    """Strict-Transport-Security, for browsers to insist on HTTPS."""

    max_age: Seconds = Field(default=YEAR, description="How long browsers insist.")
    include_subdomains: Flag = Field(default=True, description="Also for all names below.")
    preload: Flag = Field(default=False, description="Ask to be built into browsers.")

    @model_validator(mode="after")
    def _preload_is_earned(self) -> "Hsts":
        if self.preload and not (self.include_subdomains and self.max_age >= YEAR):
            raise ValueError(
                f"preload needs include_subdomains and a max_age of {format_duration(YEAR)}"
            )
        return self


def _table_or_flag(value: object) -> str:
    return "table" if isinstance(value, dict | Hsts) else "flag"


HstsChoice = Annotated[
    Annotated[Hsts, Tag("table")] | Annotated[bool, Tag("flag")],
    Discriminator(_table_or_flag),
    Expects("true, false or table"),
]


class Rule(Section):
    """Which policy decides on which paths; the first rule that matches does."""

    id: Name = Field(description="Shows up in metrics, logs and Cache-Status.")
    path: OneOrMore[Pattern] = Field(description="Patterns of paths.")
    policy: Name = Field(description="A `[policy.*]`, or the name of a kind.")
    override: PolicyOptions = Field(
        default=PolicyOptions(), description="Keys of the policy that are different here."
    )


class Certificate(Section):
    """A certificate chain and its key."""

    chain: FilePath = Field(description="PEM file: the certificate, then the intermediate ones.")
    key: FilePath = Field(description="PEM file of the private key.")
    issuer: FilePath | None = Field(
        default=None,
        description="PEM file of the certificate that issued it, for OCSP where the chain does "
        "not hold it.",
    )


class Host(Section):
    """One site: its names and what happens to their requests."""

    name: HostName = Field(description="The site's name; part of every cache key.")
    aliases: ListOf[HostName] = Field(default=(), description="Other names for the same content.")
    origin: Name = Field(description="The `[origin.*]` that content comes from.")
    cert: OneOrMore[Certificate] | None = Field(
        default=None,
        max_length=2,
        description="Its certificate, or an ECDSA and an RSA one; default: `tls.certs_dir`.",
    )
    cors: Name | None = Field(default=None, description="The `[cors.*]` that applies.")
    hsts: HstsChoice | None = Field(
        default=None,
        description="`false`: none here; a table like `[hsts]`: another one; default: `[hsts]`.",
    )
    headers: Headers = Field(default=Headers(), description="Response fields to set and remove.")
    rule: ListOf[Rule] = Field(
        default=(), description="Rules in order; without any, a transparent RFC 9111 shared cache."
    )


class Config(Section):
    """A whole configuration."""

    config_version: Literal[1] = Field(description="The version of this language.")
    pop: Pop = Field(default=Pop(), description="The point of presence itself.")
    listen: Listen = Field(description="Where clients are heard.")
    limits: Limits = Field(default=Limits(), description="What one connection may ask of the edge.")
    tls: Tls = Field(default=Tls(), description="Certificates and handshakes.")
    cache: Cache = Field(default=Cache(), description="Where responses are stored.")
    origin: dict[Name, Origin] = Field(default={}, description="Where content comes from, by name.")
    policy: dict[Name, Policy] = Field(default={}, description="Policies by name.")
    cors: dict[Name, Cors] = Field(default={}, description="Lists of pages' origins by name.")
    hsts: Hsts | None = Field(default=None, description="Strict-Transport-Security of all hosts.")
    host: ListOf[Host] = Field(min_length=1, description="The sites.")
    log: Log = Field(default=Log(), description="What the edge says about itself.")
