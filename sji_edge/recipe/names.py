"""Names in a recipe: what a reference designator, a package or a pin may be called."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from sji_edge.core.text import is_control, readable


def _printable(name: str) -> str:
    if any(map(is_control, name)):
        raise ValueError(f"{readable(name)} holds a control character")
    return name


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
"""One printable line, so that a name cannot forge a line of a log or a record."""
OptionalName = Annotated[str, Field(max_length=200), AfterValidator(_printable)]


def folded(name: str) -> str:
    """Return a name in a form that ignores case, blanks and Unicode form."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())
