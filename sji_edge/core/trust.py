"""How far a line trusts a challenge that a new engine passed."""

from enum import StrEnum


class Trust(StrEnum):
    """What a passed challenge does.

    A failed one never installs anything, and a shadow engine never changes a verdict, whatever the level.
    """

    SHOW_ONLY = "show-only"
    """Reports. Nothing is installed, whoever asks for it."""
    SEMI_AUTOMATIC = "semi-automatic"
    """Installs the engine if a person accepts the result in the same command."""
    AUTOMATIC = "automatic"
    """Installs the engine at once."""
