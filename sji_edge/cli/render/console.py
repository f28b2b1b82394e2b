"""The console on standard output that every command prints to."""

import os

from rich.console import Console

LOG_WIDTH = 160


def console() -> Console:
    """Return a console on standard output; errors go to standard error, through ``cli.main``."""
    made = Console(highlight=False, soft_wrap=True)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        # A log or a pipe has no width; rich would squeeze every table into 80 columns.
        made.width = LOG_WIDTH
    return made
