from pathlib import Path

from edgeproxy.emulator.options import DemoOptions


def test_the_ports_are_those_of_the_documents():
    options = DemoOptions()
    assert (options.https_port, options.http_port) == (8443, 8080)


def test_what_a_demo_leaves_behind_is_in_a_folder_that_git_ignores():
    ignored = Path(__file__).parents[3].joinpath(".gitignore").read_text().splitlines()
    assert DemoOptions().folder.parts[0] == "var"
    assert "/var/" in ignored
