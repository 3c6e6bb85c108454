"""What a request may look like as bytes (RFC 9112 sections 2 to 7, RFC 9110 section 5).

The grammar is stricter than the RFC where it lets a recipient be lenient: a bare LF is no line
terminator, fields are never folded, a request line has exactly two spaces. Whatever passes here
has one reading only, so that no parser before or behind us can see other messages than we do.
Every pattern runs in linear time: repetitions are possessive and their alternatives disjoint. Only
single characters are repeated possessively; groups are repeated inside an atomic one, because
CPython before 3.11.5 (Debian 12 has 3.11.2) matches too much otherwise (its issue 106052).
"""

import re

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
_FIELD = _TOKEN + rb":" + _VALUE + rb"\r\n"

# Groups: method, target, version.
HEAD = re.compile(
    rb"(%b) ([\x21-\x7e]++) HTTP/([0-9]\.[0-9])\r\n(?>(?:%b)*)\r\n" % (_TOKEN, _FIELD)
)
REQUEST_LINE = re.compile(rb"%b [\x21-\x7e]++ HTTP/[0-9]\.[0-9]\r\n" % _TOKEN)

# No head can contain these, so that an unfinished one need not be waited for: controls (a TLS
# ClientHello on a plaintext port begins with two), a CR without LF, an LF without CR.
FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n|\Z)|(?<!\r)\n")

# uri-host [ ":" port ] without the percent-encodings and sub-delims that no DNS name has.
HOST = re.compile(rb"(?:[0-9A-Za-z._\-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")

# Groups: scheme, authority, path and query.
ABSOLUTE_FORM = re.compile(rb"([Hh][Tt][Tt][Pp][Ss]?)://([^/?#]*+)([/?][^#]*+)?")

# uri-host ":" port, as CONNECT has it.
AUTHORITY_FORM = re.compile(rb"(?:[0-9A-Za-z._\-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}")

CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")

# Sixteen digits would reach beyond 63 bits. No whitespace around the size (section 7.1.1 calls it
# bad): parsers disagree about it. Groups: size, extensions.
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(;%b)?\r\n" % _VALUE)
CHUNK_LINE_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,15}(?:;%b)?\r?)?" % _VALUE)
TRAILER = re.compile(_FIELD)
TRAILER_BEGUN = re.compile(rb"(?:%b(?::%b)?)?\r?" % (_TOKEN, _VALUE))
