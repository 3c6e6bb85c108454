"""Content in codings, by the libraries alone: what a client decodes, and what an origin codes."""

import zlib

import brotli
import zstandard

CODE = {
    "identity": lambda body: body,
    "br": lambda body: brotli.compress(body, quality=4),
    "zstd": lambda body: zstandard.ZstdCompressor().compress(body),
    "gzip": lambda body: zlib.compress(body, 1, 31),
}
DECODE = {
    "identity": lambda body: body,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
    "gzip": lambda body: zlib.decompress(body, 31),
}


def decoded(exchange) -> bytes:
    """Return the content of an answered exchange without its coding."""
    return DECODE[exchange.field("content-encoding") or "identity"](exchange.body)
