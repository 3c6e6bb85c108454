import dataclasses

import pytest

from edgeproxy.emulator.options import DemoOptions


def test_the_demo_listens_where_the_manual_says():
    options = DemoOptions()
    assert (options.https_port, options.http_port) == (8443, 8080)


def test_options_do_not_change_under_a_running_demo():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DemoOptions().https_port = 1
