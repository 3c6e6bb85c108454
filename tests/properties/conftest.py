"""One profile for all properties: no deadlines, because a busy machine is not a bug.

On a CI machine the examples are the same in every run; at a desk they are new ones.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "edgeproxy",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("edgeproxy")
