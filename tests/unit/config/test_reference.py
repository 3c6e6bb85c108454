from pathlib import Path

import pytest

from edgeproxy.config.reference import BEGIN, END, render, replace
from edgeproxy.config.schema import Config
from edgeproxy.config.tables import Section

MANUAL = Path(__file__).parents[3] / "docs" / "configuration.md"


def all_models(model=Section):
    yield model
    for child in model.__subclasses__():
        yield from all_models(child)


def test_the_manual_says_what_the_schema_says():
    # When this fails: python -m edgeproxy.config.reference docs/configuration.md
    text = MANUAL.read_text()
    assert replace(text) == text


@pytest.mark.parametrize("model", [m for m in all_models() if m.__module__ == Config.__module__])
def test_every_key_has_a_row(model):
    for name in model.model_fields:
        assert f"| `{name}` | " in render()


def test_defaults_stand_as_they_would_in_the_file():
    for row in (
        '| `idle_timeout` | duration | `"1m"` |',
        '| `size` | size | `"256MiB"` |',
        '| `methods` | `"GET"`, `"HEAD"`',
        "| `credentials` | true or false | `false` |",
        '| `browser` | `"public, max-age=31536000, immutable"` |',
    ):
        assert row in render()


def test_what_stands_around_the_tables_stays():
    assert replace(f"a\n{BEGIN}\nold\n{END}\nb") == f"a\n{BEGIN}\n\n{render()}\n\n{END}\nb"


def test_a_document_without_marks_is_left_alone():
    with pytest.raises(ValueError, match="marks"):
        replace("nothing")
