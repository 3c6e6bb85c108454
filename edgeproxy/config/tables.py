"""What all tables of a configuration have in common, and those that are not about one site.

The rest is `schema`, which this is a part of: the same rules hold here.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeproxy.config.values import Expects, Size

Flag = Annotated[bool, Expects("true or false")]


class Section(BaseModel):
    """What all tables have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Memory(Section):
    """The memory tier."""

    size: Size = Field(default=256 * 1024**2, description="Bytes of all stored responses together.")
    max_object: Size = Field(
        default=16 * 1024**2, description="Larger bodies are passed on, not stored."
    )

    @model_validator(mode="after")
    def _object_fits(self) -> "Memory":
        if self.max_object > self.size:
            raise ValueError("max_object is larger than size")
        return self


class Cache(Section):
    """Where responses are stored."""

    memory: Memory = Field(default=Memory(), description="The memory tier.")


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
