"""``infer`` as a separate process."""

from typing import Any

import typer
from click.testing import Result
from typer.testing import CliRunner

from sji_edge.cli.commands.infer import infer
from sji_edge.core.errors import SjiError

app = typer.Typer()
app.command()(infer)


def run(*words: Any) -> Result:
    """Run the command; its ``SjiError`` comes through, as ``cli.main`` sees it."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, SjiError):
        raise result.exception
    return result
