"""What every process of a PoP begins with: the configuration that is current, and its identities.

In the main process, loaded before anybody is born; the steward tells it what is current since.
"""

import logging

from edgeproxy.clock import Clock
from edgeproxy.config import compile as slices
from edgeproxy.config.certificates import load_certificates
from edgeproxy.config.files import identity_sources
from edgeproxy.config.schema import Config
from edgeproxy.runtime.certificates import front_context
from edgeproxy.runtime.generation import Generation
from edgeproxy.runtime.reloading import adopt_connections, adopt_log

log = logging.getLogger(__name__)


class Inheritance:
    """A generation, and the front context that belongs to it."""

    def __init__(self, config: Config, workers: int, clock: Clock) -> None:
        """Load all certificates; raises ConfigError where one cannot be used."""
        sources = identity_sources(config)  # a folder may hold others when a steward follows
        identities = load_certificates(config, now=clock.now())
        self.current = Generation(0, config, list(zip(sources, identities, strict=True)))
        self.front = front_context(config, identities, clock)
        self._workers = workers

    @property
    def config(self) -> Config:
        """The configuration of all together."""
        return self.current.config

    @property
    def share(self) -> Config:
        """What one worker may have of it."""
        return slices.share_of_worker(self.config, self._workers)

    def adopt(self, descriptor: int) -> None:
        """Let all that are born from now on begin with what is current, and drain by it."""
        before, share = self.config, self.share
        try:
            current = Generation.of_descriptor(descriptor)
            self.front.adopt(
                slices.tls_parameters(current.config),
                unknown_name=current.config.tls.unknown_sni,
                no_name=current.config.tls.no_sni,
            )
            self.front.replace([identity for _, identity in current.identities])
            adopt_log(before, current.config)
            adopt_connections(share, slices.share_of_worker(current.config, self._workers))
        except Exception:  # those to come begin with what there was, and the steward tells them
            log.exception("the configuration that is current is not known to the main process")
            return
        self.current = current
