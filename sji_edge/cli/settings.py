"""Turns a command's options into a settings model, and names the option that is wrong."""

from typing import Any, TypeVar

from pydantic import BaseModel

from sji_edge.core.findings import parse_settings

RENAMED = {"compute_capabilities": "--compute-capability", "opt_batch": "--batch"}
"""Options whose name differs from the setting's."""

Settings = TypeVar("Settings", bound=BaseModel)


def option_name(field: str) -> str:
    """Return the option as the user types it: ``max_age_ms`` becomes ``--max-age-ms``."""
    return RENAMED.get(field, "--" + field.replace("_", "-"))


def settings_or_usage_error(model: type[Settings], /, **values: Any) -> Settings:
    """Build a settings model from a command's options; raises ``UsageError`` naming every wrong option."""
    return parse_settings(model, values, option_name)
