"""What all tables of a configuration have in common, and those that are not about one site.

The rest is `schema`, which this is a part of: the same rules hold here.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeproxy.config.values import Expects, FilePath, Size

Flag = Annotated[bool, Expects("true or false")]


class Section(BaseModel):
    """What all tables have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Memory(Section):
    """The memory tier."""

    size: Size = Field(
        default=256 * 1024**2,
        description="Bytes of all stored responses together, with what each costs beside its "
        "octets and what is prepared to answer from it. A process needs some 64 MiB of its own, "
        "and room for what is under way.",
    )
    max_object: Size = Field(
        default=16 * 1024**2,
        description="Larger bodies live on disk only, where there is a `[cache.disk]`; without one "
        "they are passed on, not stored. Per worker never more than its part of `size`.",
    )

    @model_validator(mode="after")
    def _object_fits(self) -> "Memory":
        if self.max_object > self.size:
            raise ValueError("max_object is larger than size")
        return self


DISK_BYTES_MIN = 16 * 1024**2


class Disk(Section):
    """The disk tier: what memory may hold, kept over restarts, and what is too large for it."""

    path: FilePath = Field(description="A folder of its own, on a local file system.")
    size: Size = Field(
        default=10 * 1024**3,
        description="What the whole folder may take, temporary files and index included.",
    )
    max_object: Size = Field(
        default=1024**3,
        description="Larger bodies are passed on, not stored; nor is what `size` has no room for. "
        "What memory may hold is kept on disk too, whatever this says.",
    )
    fsync: Literal["off", "data"] = Field(
        default="off",
        description="`data`: bodies reach the disk before they count. With `off` a power cut may "
        "cost stored responses, but never makes a wrong one: every body is checked when read.",
    )

    @model_validator(mode="after")
    def _is_worth_it(self) -> "Disk":
        if self.size < DISK_BYTES_MIN:
            raise ValueError("size is less than 16MiB, of which most would be the index")
        if "max_object" in self.model_fields_set and self.max_object > self.size:
            raise ValueError("max_object is larger than size")
        return self


class Cache(Section):
    """Where responses are stored."""

    memory: Memory = Field(default=Memory(), description="The memory tier.")
    disk: Disk | None = Field(default=None, description="The disk tier; default: none.")


class AccessLog(Section):
    """One line per request."""

    enabled: Flag = Field(default=True, description="Whether to write it.")
    format: Literal["json", "console"] = Field(
        default="json", description="For machines or for people."
    )
    client_ip: Literal["truncate", "full"] = Field(
        default="truncate", description="Client addresses as /24 and /48, or complete."
    )


class Log(Section):
    """What the edge says about itself."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="From here up."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto`: for people on a terminal, else JSON."
    )
    access: AccessLog = Field(default=AccessLog(), description="One line per request.")
