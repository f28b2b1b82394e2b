"""Times by which records are filtered: they compare with the records' own as text."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator

WANTED = "2025-01-31, 2025-01-31T08:00, or one as the tables print it"
_TIME = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?)?)?)?")
_UTC_MARK = re.compile(r"(T.+)(Z|\+00:00)")
_REST = "0001-01-01T00:00:00"
"""What a time that was cut short begins at."""


def utc_prefix(text: str) -> str:
    """Return a UTC time, ISO 8601 and perhaps cut short, as the beginning of a record's; nothing stays nothing.

    ``Z`` or ``+00:00``, with which records end, is left out: a time without it begins each of the records' own.

    Raises:
        ValueError: it is no time, or another zone's, or there is no such day or hour.
    """
    bare = _UTC_MARK.sub(r"\1", text)
    if not bare:
        return ""
    if not _TIME.fullmatch(bare):
        raise ValueError(f"{text[:40]!r} is no UTC time; write it as {WANTED}")
    try:
        datetime.fromisoformat(bare + _REST[len(bare) :])
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is not in the calendar ({error}); write it as {WANTED}") from error
    return bare


Utc = Annotated[str, AfterValidator(utc_prefix)]
