"""The PoP of the long runs: a configuration of two workers over the origin of `content`."""

from dataclasses import dataclass
from pathlib import Path

from bench.compare.servers import free_port
from tests.support.ca import LocalCa
from tests.support.pop import ORIGIN_NAME, Place, make_place
from tests.support.runs.origin import running_origin

_LIMITS = """\
max_requests_per_connection = 1000000

[cache.memory]
size = "{memory}"
max_object = "{max_object}"

[cache.disk]
path = "cache"
size = "{disk}"
"""

_RULES = """
[[host.rule]]
id = "fixed"
path = "/fixed/**"
policy = "entry"
override = {{ edge_ttl = "1h" }}

[[host.rule]]
id = "slow"
path = "/slow/**"
policy = "pass"

[[host.rule]]
id = "things"
path = "/**"
policy = "entry"
[host.rule.override]
edge_ttl = "2s"
stale_while_revalidate = "0s"
browser = "public, max-age={browser_seconds}"
headers = {{ set = {{ x-generation = "{generation}" }} }}
"""


@dataclass(frozen=True)
class Ground:
    """Where a run takes place: files, and the ports that all processes of it agree on."""

    place: Place
    port: int
    metrics_port: int

    @property
    def folder(self) -> Path:
        return self.place.folder

    @property
    def ca(self) -> LocalCa:
        return self.place.ca

    @property
    def config(self) -> Path:
        return self.folder / "edge.toml"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def origin(self, **options: float):
        return running_origin(self.ca.issue(ORIGIN_NAME), **options)

    def configure(
        self,
        url: str,
        *,
        memory: str = "32MiB",
        max_object: str = "8MiB",
        disk: str = "64MiB",
        workers: int = 2,
        generation: int = 0,
        level: str = "info",
    ) -> None:
        """Write the configuration; `generation` is what responses of /o/ show."""
        text = self.place.text(
            url,
            port=self.port,
            listen=f'metrics = "127.0.0.1:{self.metrics_port}"\nworkers = {workers}',
            limits=_LIMITS.format(memory=memory, max_object=max_object, disk=disk),
            rules=_RULES.format(generation=generation, browser_seconds=1000 + generation),
        )
        new = self.config.with_suffix(".new")
        new.write_text(text.replace('"warning"', f'"{level}"'), encoding="utf-8")
        new.replace(self.config)


def make_ground(folder: Path) -> Ground:
    return Ground(make_place(folder, "localhost", "127.0.0.1"), free_port(), free_port())
