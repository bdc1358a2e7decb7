"""What every section of a profile is: frozen, and refusing names that it does not know."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Numbers of one stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")
