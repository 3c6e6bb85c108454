"""Tests for edgeproxy/runtime/generation.py."""

import os

import pytest

from edgeproxy.config.certificates import load_certificates
from edgeproxy.config.files import identity_sources
from edgeproxy.config.load import load_text
from edgeproxy.runtime.generation import Generation, pack_config, unpack_config
from tests.support.pop import ENTRY, make_place


def test_what_one_process_writes_another_one_reads(tmp_path):
    place = make_place(tmp_path)
    config = load_text(place.text("https://127.0.0.1:9", rules=ENTRY), base=tmp_path)
    sources = identity_sources(config)
    made = Generation(7, config, list(zip(sources, load_certificates(config), strict=True)))
    descriptor = made.to_descriptor()
    read = Generation.of_descriptor(descriptor)
    assert (read.number, read.config) == (7, config)
    [(source, identity)] = read.identities
    assert (source, identity.names) == (sources[0], ("localhost",))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert unpack_config(pack_config(config)) == config
