"""What people can say of a joint: the good class and the kinds of defects, from a file that anybody can edit."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from sji_edge.core.errors import UsageError
from sji_edge.core.files import read_toml
from sji_edge.core.findings import in_words
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.text import readable

RESERVED_KEYS = frozenset("aebmnpsuhz+-?")
"""Keys that the station itself uses."""


class Category(FrozenModel):
    """One thing that can be said of a joint, with the key that says it."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    title: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    key: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]$")]


class Categories(FrozenModel):
    """The good class, and the kinds of defects in the order in which they are shown."""

    good: Category
    defect: Annotated[tuple[Category, ...], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for field in ("name", "key"):
            values = [getattr(one, field) for one in self.every]
            twice = {value for value in values if values.count(value) > 1}
            if twice:
                raise ValueError(f"duplicate {field} {min(twice)!r}")
        taken = {one.key for one in self.every} & RESERVED_KEYS
        if taken:
            raise ValueError(f"key {min(taken)!r} is one of the station's own keys")
        return self

    @property
    def every(self) -> tuple[Category, ...]:
        """The good class, then the defects."""
        return (self.good, *self.defect)

    @property
    def names(self) -> frozenset[str]:
        """The names of all classes."""
        return frozenset(one.name for one in self.every)

    @property
    def defect_names(self) -> frozenset[str]:
        """The names of the kinds of defects."""
        return frozenset(one.name for one in self.defect)


def read_categories(path: Path | None = None) -> Categories:
    """Read a file of categories, by default the one that comes with sji-edge.

    Raises:
        UsageError: it cannot be read, or is wrong; says where.
    """
    source = path or Path(str(files("sji_edge.review") / "categories.toml"))
    try:
        return Categories.model_validate(read_toml(source))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, found['loc'])) or 'file'}: {in_words(found['msg'])}"
            for found in error.errors(include_url=False)
        )
        raise UsageError(f"{readable(str(source))}: {faults}") from error
