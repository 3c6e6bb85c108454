"""Paths that two programs may read as two different resources.

Web cache deception and its relatives live on a disagreement: `/account%2f..%2fstatic/x.js` is one
segment to the cache and `/static/x.js` or `/account` to somebody behind it. Such paths are not
errors (RFC 3986 section 2.2 allows them), are keyed and forwarded byte for byte, but earn no
favours: no pattern matches them, so no rule lends them a lifetime. Nothing is decoded for use.

Ambiguous is a path with: an encoded slash, backslash, NUL, other control, dot, percent sign,
semicolon, question mark or number sign; a raw backslash or semicolon; an empty segment before the
last; a segment `.` or `..`; a percent sign without two hexadecimal digits; octets that are not
UTF-8 once decoded (overlong forms).
"""

import re

# One scan tells nearly all paths that are plain; only the rest is looked at closely.
_SUSPICIOUS = re.compile(rb"[%;\\]|//|/\.\.?(?:/|\Z)")
_PLAIN_OUT = re.compile(rb"[;\\]|//|/\.\.?(?:/|\Z)")
_ENCODED = re.compile(rb"%(?:[01][0-9A-Fa-f]|7[Ff]|2[3EeFf5]|3[BbFf]|5[Cc]|(?![0-9A-Fa-f]{2}))")
_OCTET = re.compile(rb"%([0-9A-Fa-f]{2})")


def is_ambiguous(path: bytes) -> bool:
    """Tell whether the raw path, without its query, may be read in more than one way."""
    if _SUSPICIOUS.search(path) is None:
        return False
    if _PLAIN_OUT.search(path) or _ENCODED.search(path):
        return True
    try:
        _OCTET.sub(lambda match: bytes((int(match[1], 16),)), path).decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False
