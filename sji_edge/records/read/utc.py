"""UTC times that filter records; they are compared with the stored times as text."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator

WANTED = "2025-01-31, 2025-01-31T08:00, or one as the tables print it"
_TIME = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?)?)?)?")
_UTC_MARK = re.compile(r"(T.+)(Z|\+00:00)")
_REST = "0001-01-01T00:00:00"
"""Completes a shortened time."""


def utc_prefix(text: str) -> str:
    """Return a UTC time (ISO 8601, may be shortened) as the start of a stored time; an empty text stays empty.

    A final ``Z`` or ``+00:00`` is removed, so that the result is a prefix of the times that records hold.

    Raises:
        ValueError: it is not a time, has another time zone, or names a day or an hour that does not exist.
    """
    bare = _UTC_MARK.sub(r"\1", text)
    if not bare:
        return ""
    if not _TIME.fullmatch(bare):
        raise ValueError(f"{text[:40]!r} is not a UTC time; write it as {WANTED}")
    try:
        datetime.fromisoformat(bare + _REST[len(bare) :])
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is not in the calendar ({error}); write it as {WANTED}") from error
    return bare


Utc = Annotated[str, AfterValidator(utc_prefix)]
