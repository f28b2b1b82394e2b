"""The base of every settings model, card and report."""

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A pydantic model that is immutable, rejects unknown fields, and holds neither NaN nor infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
