"""Where listeners take their limits from: the figures stand beside the codecs that obey them."""

from edgeproxy.wire.limits import Limits

__all__ = ["Limits"]
