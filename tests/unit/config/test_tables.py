import pytest
from pydantic import ValidationError

from edgeproxy.config.tables import Cache, Log


def test_what_is_left_out_has_its_default():
    assert Cache.model_validate({}) == Cache()
    assert Log.model_validate({}).access.enabled


def test_an_object_is_not_larger_than_the_memory_tier():
    with pytest.raises(ValidationError, match="max_object is larger than size"):
        Cache.model_validate({"memory": {"size": "1MiB", "max_object": "2MiB"}})


def test_a_disk_tier_has_room_for_more_than_its_index():
    with pytest.raises(ValidationError, match="size is less than 16MiB"):
        Cache.model_validate({"disk": {"path": "/var/cache/edge", "size": "1MiB"}})


def test_an_object_is_not_larger_than_the_disk_tier_that_was_said():
    disk = {"path": "/var/cache/edge", "size": "64MiB"}
    assert Cache.model_validate({"disk": disk}).disk.max_object == 1024**3
    with pytest.raises(ValidationError, match="max_object is larger than size"):
        Cache.model_validate({"disk": {**disk, "max_object": "65MiB"}})
