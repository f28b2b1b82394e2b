"""Turns what pydantic found wrong into sentences for the user."""

import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sji_edge.core.errors import UsageError

PREFIXES = ("Value error, ", "Assertion failed, ")
"""What pydantic puts in front of the message of our own validators."""

PLAIN = {"Extra inputs are not permitted": "unknown entry", "Field required": "missing"}
"""Our words for messages of pydantic that users meet in their files."""

RULES = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
}
"""What a value must be, by the type of pydantic's finding; the braces take pydantic's own bounds."""

NO_CHOICE = re.compile(r"''(, | or )")
"""An empty string among choices means that the setting was not given; it is not listed."""

Settings = TypeVar("Settings", bound=BaseModel)
Spell = Callable[[str], str]


def in_words(message: str) -> str:
    """Return a finding's message without pydantic's prefix, or in our words."""
    for prefix in PREFIXES:
        message = message.removeprefix(prefix)
    return PLAIN.get(message, message)


def plain_name(field: str) -> str:
    """Return a setting's name in plain words: ``max_age_ms`` becomes ``max age ms``."""
    return field.replace("_", " ")


def in_one_sentence(finding: ErrorDetails, spell: Spell = plain_name) -> str:
    """Return one finding as ``NAME must be RULE (got VALUE)``, or with our own validator's message.

    Args:
        finding: one entry of ``ValidationError.errors()``.
        spell: how the caller's user knows a setting, given the field's name.
    """
    message = in_words(finding["msg"])
    if not finding["loc"]:
        # A check of the settings as a whole names them itself.
        return message
    name = spell(str(finding["loc"][0]))
    bounds = {
        key: int(bound) if isinstance(bound, float) and bound.is_integer() else bound
        for key, bound in finding.get("ctx", {}).items()
    }
    if finding["type"] == "literal_error":
        rule = NO_CHOICE.sub("", str(bounds["expected"])).replace("'", "")
    elif finding["type"] in RULES:
        rule = RULES[finding["type"]].format(**bounds)
    else:
        return f"{name}: {message}"
    return f"{name} must be {rule} (got {finding['input']!r})"


def _plain(value: Any) -> Any:
    return Path(value) if isinstance(value, PathLike) else value


def parse_settings(model: type[Settings], values: dict[str, Any], spell: Spell = plain_name) -> Settings:
    """Build a settings model from plain values.

    Args:
        model: names, types and bounds of the settings.
        values: one entry for each field; missing fields take their defaults. A result that stands for a folder
            (``os.PathLike``) becomes a ``Path``.
        spell: how the caller's user knows a setting, given the field's name.

    Raises:
        UsageError: names every wrong setting, on one line.
    """
    try:
        return model(**{name: _plain(value) for name, value in values.items()})
    except ValidationError as error:
        raise UsageError("; ".join(in_one_sentence(one, spell) for one in error.errors())) from error
