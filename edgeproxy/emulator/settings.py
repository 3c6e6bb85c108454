"""The configuration of the demo's point of presence, as text that an operator could have written.

It is written beside the demo's certificates and then loaded like any other, so that a reader can
look it up, change it and run it with `edgeproxy serve`. Without HSTS on purpose: a browser would
insist on HTTPS for every other program on localhost, for a year.
"""

from pathlib import Path

from edgeproxy.emulator.options import DemoOptions

# The name that the origin's certificate bears and that every request to it carries; not localhost,
# so that a client's Host leaking to the origin would be seen at once.
ORIGIN_NAME = "assets-origin.localhost"

_TEXT = """\
# Written anew by every `edgeproxy demo`. Try it: edgeproxy serve -c {file}
# (the demo's origin has to run, on port {origin_port}).
config_version = 1

[pop]
name = "demo"
state_dir = "state"

[listen]
https = "127.0.0.1:{https_port}"
http3 = true
alt_svc_max_age = "60s"            # a browser forgets soon that this was here
http_redirect = "127.0.0.1:{http_port}"
{metrics}
[limits]
drain_timeout = "2s"

[tls]
unknown_sni = "default"            # https://127.0.0.1 sends no name

[cache.memory]
size = "64MiB"

[origin.widget]
urls = ["https://127.0.0.1:{origin_port}"]
host = "{origin_name}"
tls = {{ ca_file = "ca.pem" }}

[cors.shops]
origins = ["https://shop.example", "https://*.brand.example"]
expose = ["etag"]

[[host]]
name = "localhost"
aliases = ["127.0.0.1"]
origin = "widget"
cert = {{ chain = "edge/fullchain.pem", key = "edge/key.pem" }}
cors = "shops"
headers = {{ set = {{ x-content-type-options = "nosniff", timing-allow-origin = "*" }}, \
remove = ["server", "x-powered-by"] }}

  # what pages embed: the address stays, the content changes with a release
  [[host.rule]]
  id = "entry"
  path = "/bootstrap.js"
  policy = "entry"

  # what the entry point loads: the path names the bytes
  [[host.rule]]
  id = "versioned"
  path = ["/v{{semver}}/**", "/widget-v{{semver}}.js"]
  policy = "versioned"

  [[host.rule]]
  id = "manifest"
  path = "/manifest.json"
  policy = "manifest"

  # the page around the widget
  [[host.rule]]
  id = "page"
  path = ["/", "/index.html", "/page/**"]
  policy = "entry"

[log]
access = {{ format = "console", client_ip = "full" }}
"""


def write_settings(options: DemoOptions, origin_port: int) -> Path:
    """Write the configuration into the demo's folder and return its path."""
    path = options.folder / "edge.toml"
    port = options.metrics_port
    text = _TEXT.format(
        file=path,
        metrics="" if port is None else f'metrics = "127.0.0.1:{port}"\n',
        https_port=options.https_port,
        http_port=options.http_port,
        origin_port=origin_port,
        origin_name=ORIGIN_NAME,
    )
    path.write_text(text, encoding="utf-8")
    return path
