"""When a responder is asked next: pure arithmetic over dates and a random number.

Times are seconds since the epoch. `random` is a number in [0, 1) drawn by the caller; it spreads
the fleet, so that PoPs started together do not ask together. Half of the validity is what RFC 5019
section 4 and the stapling of other servers come to; the delays are ours.
"""

from typing import Final

from edgeproxy.tls.ocsp.staple import Staple

DELAY_SECONDS_MIN: Final = 60.0
DELAY_SECONDS_MAX: Final = 3600.0
_JITTER: Final = 0.1
_DOUBLINGS_MAX: Final = 6  # 60 s * 2**6 is beyond the hour already


def refresh_at(staple: Staple, now: float, random: float) -> float:
    """Return when a good staple is to be renewed: at half of its validity, give or take a tenth."""
    half = (staple.next_update - staple.this_update) / 2
    at = staple.this_update + half * _spread(random)
    # A responder's certificate that ends before the response does would end the staple first.
    latest = staple.this_update + (staple.usable_until - staple.this_update) * 0.9
    return max(min(at, latest), now + DELAY_SECONDS_MIN)


def retry_after(failures: int, random: float) -> float:
    """Return the seconds to wait after that many failures in a row: 1, 2, 4 … 60 minutes."""
    doubled = DELAY_SECONDS_MIN * 2.0 ** min(max(failures, 1) - 1, _DOUBLINGS_MAX)
    return min(doubled, DELAY_SECONDS_MAX) * _spread(random)


def next_attempt(staple: Staple | None, failures: int, now: float, random: float) -> float:
    """Return when to ask next, after `failures` fruitless attempts in a row.

    While there is still a staple to lose, the wait is at most half of the time that it has left:
    the attempts grow denser towards its end, but never more than one a minute.
    """
    if failures == 0:
        return now if staple is None else refresh_at(staple, now, random)
    wait = retry_after(failures, random)
    if staple is not None and staple.is_usable(now):
        wait = min(wait, max((staple.usable_until - now) / 2, DELAY_SECONDS_MIN))
    return now + wait


def _spread(random: float) -> float:
    return 1.0 - _JITTER + 2.0 * _JITTER * random
