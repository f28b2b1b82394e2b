"""The console that every command prints to, and how foreign text is put into its tables."""

import os
import sys
from collections.abc import Iterable
from typing import IO

from rich.console import Console
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table

from sji_edge.core.text import readable

LOG_WIDTH = 160
MAX_WIDTH = 1000


def console(file: IO[str] | None = None) -> Console:
    """Return a console on standard output; errors go to standard error, through ``cli.main``.

    Args:
        file: where to print instead.
    """
    # Without a file, rich takes the encoding to be UTF-8 whatever it is.
    made = _EscapingConsole(file=file or sys.stdout, highlight=False, soft_wrap=True)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        # A log or a pipe has no width; rich would squeeze every table into 80 columns.
        made.width = LOG_WIDTH
    return made


def print_whole(table: Table) -> None:
    """Print a table as wide as its content; on a narrow terminal its lines wrap, and no column is squeezed away."""
    out = console()
    out.width = max(out.width, out.measure(table, options=out.options.update(max_width=MAX_WIDTH)).maximum)
    out.print(table)


class _EscapingConsole(Console):
    """Shows control characters in what it prints as escapes: a file name cannot move the cursor or clear the screen."""

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(map(_escaped, buffer))


def _escaped(segment: Segment) -> Segment:
    text = segment.text
    if segment.control or text.isprintable() or text == "\n":
        return segment
    return Segment("\n".join(map(readable, text.split("\n"))), segment.style)


def plain(text: str) -> str:
    """Return foreign text (a name, a class, a file) so that rich prints it as it is: no markup, on one line."""
    return escape(readable(text))
