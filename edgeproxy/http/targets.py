"""The request target in origin-form (RFC 9112 section 3.2.1).

The cache key is made of exactly the bytes that go to the origin, so a target that two parsers
could read differently is refused and never repaired.
"""

import re

_ORIGIN_FORM = re.compile(rb"/[\x21\x22\x24-\x7e]*")


def is_origin_form(target: bytes) -> bool:
    """Tell whether `target` is a path with an optional query, of visible ASCII without `#`."""
    return _ORIGIN_FORM.fullmatch(target) is not None
