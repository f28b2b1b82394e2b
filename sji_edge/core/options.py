"""Checks options that a user writes as ``name=value`` against a frozen model."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from sji_edge.core.errors import UsageError
from sji_edge.core.findings import in_words


def _size(value: Any) -> Any:
    """Parse ``1920x1080`` as ``(1920, 1080)``."""
    if isinstance(value, str):
        parts = value.lower().split("x")
        if len(parts) != 2 or not all(part.isdecimal() and 0 < int(part) < 100_000 for part in parts):
            raise ValueError("must be a size such as 1920x1080")
        return int(parts[0]), int(parts[1])
    return value


SizePx = Annotated[tuple[int, int], BeforeValidator(_size)]


class Options(BaseModel):
    """Base class of a set of options; the user writes field ``defect_rate`` as ``defect-rate``."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
    )


O = TypeVar("O", bound=Options)  # noqa: E741 - the type of the options


def read_options(model: type[O], options: Mapping[str, str], owner: str) -> O:
    """Parse and check options.

    Args:
        model: names, types and bounds.
        options: what the user wrote.
        owner: what takes the options, the subject of the message (``"a camera source"``).

    Raises:
        UsageError: a name is unknown or a value is wrong; names every fault but no value, which may be a secret.
    """
    known = sorted(field.alias or name for name, field in model.model_fields.items())
    unknown = sorted(set(options) - set(known))
    if unknown:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        close = difflib.get_close_matches(unknown[0], known, n=1)
        raise UsageError(
            f"{owner} has no option {', '.join(map(repr, unknown))}; {takes}",
            hint=f"did you mean {close[0]!r}?" if close else "",
        )
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in found['loc'][:1])}: " + in_words(found["msg"]).lower()
            for found in error.errors(include_input=False, include_url=False)
        )
    raise UsageError(f"wrong options for {owner}: {faults}")
