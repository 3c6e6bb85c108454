"""Tests for edgeproxy/tls/handshakes.py."""

from typing import get_args

import pytest

from edgeproxy.tls.handshakes import Handshake, Outcome, outcome_of, outcome_of_refusal


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("unsupported protocol", "unsupported_version"),
        ("no suitable key share", "no_common_group"),
        ("tlsv1 alert unknown ca", "client_alert"),
        ("ssl/tls alert bad certificate", "client_alert"),
        ("http request", "not_tls"),
        ("record layer failure", "bad_record"),
        ("something new", "other"),
        ("", "other"),
    ],
)
def test_reasons_become_words(reason, outcome):
    assert outcome_of(reason) == outcome
    assert outcome in get_args(Outcome)


def test_our_own_alerts_become_words():
    assert outcome_of_refusal(112) == "unrecognized_name"
    assert outcome_of_refusal(109) == "missing_extension"
    assert outcome_of_refusal(80) == "other"


def test_what_did_not_complete_has_no_more_to_say():
    assert Handshake("closed") == ("closed", "", "", "")
