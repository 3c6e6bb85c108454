from edgeproxy.config.load import inspect
from edgeproxy.config.policies import resolve
from edgeproxy.emulator.assets import load_assets
from edgeproxy.emulator.options import DemoOptions
from edgeproxy.emulator.settings import ORIGIN_NAME, write_settings
from edgeproxy.tls.development import issue_leaf, make_ca


def loaded(folder, **ports):
    ca = make_ca(folder)
    issue_leaf(ca, folder / "edge")
    options = DemoOptions(folder=folder, https_port=18443, http_port=18080, **ports)
    return inspect(write_settings(options, 18444), environ={})


def test_the_demo_configuration_loads_without_a_warning(tmp_path):
    assert loaded(tmp_path).warnings == ()


def test_ports_reach_the_configuration(tmp_path):
    config = loaded(tmp_path).config
    assert [address.port for address in config.listen.https] == [18443]
    assert [address.port for address in config.listen.http_redirect] == [18080]
    assert config.origin["widget"].urls == ("https://127.0.0.1:18444",)
    assert config.origin["widget"].host == ORIGIN_NAME


def test_metrics_are_for_who_asks_and_state_stays_in_the_folder(tmp_path):
    config = loaded(tmp_path).config
    assert config.listen.metrics is None
    assert config.pop.state_dir == tmp_path / "state"
    config = loaded(tmp_path, metrics_port=19090).config
    assert [str(address) for address in config.listen.metrics] == ["127.0.0.1:19090"]


def test_a_demo_never_sends_hsts(tmp_path):
    config = loaded(tmp_path).config
    assert config.hsts is None
    assert config.host[0].hsts is None


def test_every_file_of_the_widget_has_the_rule_it_should(tmp_path):
    config = loaded(tmp_path).config

    def rule_of(path: str) -> str:
        rules = config.host[0].rule
        return next(
            (r.id for r in rules if any(p.matches(path.encode()) for p in r.path)), "no rule"
        )

    assert {path: rule_of(path) for path in load_assets()} == {
        "/": "page",
        "/index.html": "page",
        "/page/host.css": "page",
        "/page/host.js": "page",
        "/bootstrap.js": "entry",
        "/manifest.json": "manifest",
        "/widget-v2.1.0.js": "versioned",
        "/v2.1.0/widget.css": "versioned",
        "/v2.1.0/chat.svg": "versioned",
        "/v2.1.0/chime.wav": "versioned",
    }
    assert rule_of("/account") == "no rule"


def test_browsers_are_told_what_the_documents_say(tmp_path):
    config = loaded(tmp_path).config
    told = {rule.id: resolve(rule, config)[1].browser for rule in config.host[0].rule}
    assert told["entry"] == b"public, max-age=86400, must-revalidate"
    assert told["versioned"] == b"public, max-age=31536000, immutable"
