from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError, create_model

from edgeproxy.cache.key import QueryPolicy
from edgeproxy.config import values
from edgeproxy.config.tables import Section
from edgeproxy.config.values import Address


def read(kind: Any, value: object) -> object:
    model = create_model("Holder", __base__=Section, value=(kind, ...))
    return model.model_validate({"value": value}, context={"base": Path("/base")}).value


def complaint(kind: Any, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        read(kind, value)
    return str(caught.value.errors()[0]["msg"])


@pytest.mark.parametrize(
    ("kind", "written", "meant"),
    [
        (values.Duration, "0s", 0.0),
        (values.Timeout, "250ms", 0.25),
        (values.Seconds, "5m", 300),
        (values.Lifetime, "1y", 31536000),
        (values.Lifetime, "origin", "origin"),
        (values.WorkerCount, "auto", "auto"),
        (values.WorkerCount, 128, 128),
        (values.Size, "1KiB", 1024),
        (values.ListenAddress, "0.0.0.0:443", Address("0.0.0.0", 443)),
        (values.ListenAddress, "[::1]:0", Address("::1", 0)),
        (values.Name, "fra-1.a_b", "fra-1.a_b"),
        (values.HostName, "WWW.Example.", "www.example"),
        (values.HostName, "127.0.0.1", "127.0.0.1"),
        (values.FieldName, "X-Thing", b"x-thing"),
        (values.FieldValue, 'a "b"', b'a "b"'),
        (values.FieldTable, {"X-A": "1", "x-b": "2"}, ((b"x-a", b"1"), (b"x-b", b"2"))),
        (values.FieldNames, ["X-A", "x-a"], frozenset({b"x-a"})),
        (values.ForwardFields, "all", "all"),
        (values.ForwardFields, ["Accept"], frozenset({b"accept"})),
        (values.Query, "all", QueryPolicy("all")),
        (values.Query, "ignore", QueryPolicy("ignore")),
        (values.Query, {"keep": ["a", "b"]}, QueryPolicy("keep", (b"a", b"b"))),
        (values.Codings, ["gzip", "br"], (b"gzip", b"br")),
        (values.Codings, [], ()),
        (values.PageOrigin, "https://Shop.example", "https://shop.example"),
        (values.PageOrigin, "https://shop.example:443", "https://shop.example"),
        (values.PageOrigin, "http://shop.example:80", "http://shop.example"),
        (values.PageOrigin, "https://shop.example:8443", "https://shop.example:8443"),
        (values.PageOrigin, "https://*.brand.example", "https://*.brand.example"),
        (values.PageOrigin, "*", "*"),
        (values.Authority, "Assets.internal:8443", "assets.internal:8443"),
        (values.Url, "HTTPS://Assets.internal:8443/", "https://assets.internal:8443"),
        (values.Url, "https://[::1]:8443", "https://[::1]:8443"),
        (values.FilePath, "certs/a.pem", Path("/base/certs/a.pem")),
        (values.FilePath, "/etc/a.pem", Path("/etc/a.pem")),
        (values.ListOf[values.Name], ["a", "b"], ("a", "b")),
        (values.OneOrMore[values.Name], "a", ("a",)),
        (values.OneOrMore[values.Name], ["a", "b"], ("a", "b")),
    ],
)
def test_a_value_is_read(kind, written, meant):
    assert read(kind, written) == meant


@pytest.mark.parametrize(
    ("kind", "written", "part"),
    [
        (values.WorkerCount, 0, 'a whole number from 1 to 128, or "auto", not 0'),
        (values.WorkerCount, True, "not true"),
        (values.WorkerCount, "2", "not '2'"),
        (values.Duration, 30, "in quotes, not 30"),
        (values.Duration, True, "in quotes, not true"),
        (values.Duration, False, "not false"),
        (values.Duration, {}, "not a table"),
        (values.Duration, [], "not a list"),
        (values.Timeout, "0s", "longer than nothing"),
        (values.Seconds, "1500ms", "whole seconds"),
        (values.Size, "0B", "more than nothing"),
        (values.ListenAddress, ":443", "listen on addresses"),
        (values.ListenAddress, "443", "IP address and a port"),
        (values.ListenAddress, "0.0.0.0", "IP address and a port"),
        (values.ListenAddress, "0.0.0.0:65536", "IP address and a port"),
        (values.ListenAddress, "0.0.0.0:+1", "IP address and a port"),
        (values.ListenAddress, "localhost:443", "not names"),
        (values.ListenAddress, "::1:443", "in brackets"),
        (values.ListenAddress, "[127.0.0.1]:443", "in brackets"),
        (values.Name, "9a", "expected a letter"),
        (values.Name, "a b", "expected a letter"),
        (values.HostName, "*.example", "wildcard"),
        (values.HostName, "münchen.example", "xn--"),
        (values.HostName, "https://www.example", "without scheme"),
        (values.HostName, "www.example:443", "without scheme and port"),
        (values.HostName, "", "host name"),
        (values.HostName, "a..b", "host name"),
        (values.HostName, "-a.example", "host name"),
        (values.FieldName, "x y", "not a field name"),
        (values.FieldName, ":path", "not a field name"),
        (values.FieldValue, " a", "not a field value"),
        (values.FieldValue, "a\r\nx: y", "not a field value"),
        (values.FieldTable, "x", "expected a table"),
        (values.FieldTable, {"Content-Length": "1"}, "the edge's to send"),
        (values.FieldTable, {"Strict-Transport-Security": "x"}, "hsts"),
        (values.FieldTable, {"cache-control": "x"}, "browser"),
        (values.FieldNames, "x", "expected a list"),
        (values.FieldNames, ["Age"], "the edge's to send"),
        (values.Query, "none", "expected"),
        (values.Query, {"keep": "a"}, "expected"),
        (values.Query, {"keep": [1]}, "in quotes"),
        (values.Query, {"keep": ["a=b"]}, "parameter's name"),
        (values.Codings, "br", "expected a list of content codings"),
        (values.Codings, True, "expected a list of content codings, not true"),
        (values.Codings, [1], "in quotes"),
        (values.Codings, ["BR"], "'BR' is none of br, zstd, gzip"),
        (values.Codings, ["br", "identity"], "'identity' is none of"),
        (values.Codings, ["br", "zstd", "br"], "'br' is listed twice"),
        (values.Pattern, "x", "starts with"),
        (values.PageOrigin, "null", "sandboxed"),
        (values.PageOrigin, "shop.example", "expected"),
        (values.PageOrigin, "https://shop.example/", "expected"),
        (values.PageOrigin, "https://a.*.example", "expected"),
        (values.PageOrigin, "https://shop.example:99999", "expected"),
        (values.Authority, "u@host", "host and perhaps a port"),
        (values.Authority, "höst", "host and perhaps a port"),
        (values.Url, "assets.internal", "scheme, host and port"),
        (values.Url, "ftp://assets.internal", "scheme, host and port"),
        (values.Url, "https://assets.internal/x", "scheme, host and port"),
        (values.Url, "https://u:p@assets.internal", "host and perhaps a port"),
        (values.Url, "https://assets.internal:0", "host and perhaps a port"),
        (values.FilePath, "", "path"),
        (values.FilePath, "a\0b", "path"),
        (values.OneOrMore[values.Name], [], "at least one"),
        (values.ListOf[values.Name], "a", "tuple"),
    ],
)
def test_a_value_that_is_none_is_explained(kind, written, part):
    assert part in complaint(kind, written)


def test_an_address_is_written_as_it_is_read():
    assert str(Address("::1", 443)) == "[::1]:443"
    assert str(Address("127.0.0.1", 443)) == "127.0.0.1:443"
