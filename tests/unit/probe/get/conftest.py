"""Fixtures for the tests of what one request shows."""

import pytest

from tests.support.ca import LocalCa


@pytest.fixture(scope="package")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("get"))


@pytest.fixture(scope="package")
def leaf(ca):
    return ca.issue("a.test")
