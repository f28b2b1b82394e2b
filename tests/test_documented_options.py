"""Every command and option in the README, the docs and the examples exists."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from sji_edge.cli.app import application

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.sh")),
]


def command_lines(page: Path) -> Iterator[str]:
    """Yield each shell line of a page that runs ``sji-edge``, with continued lines joined."""
    text = page.read_text()
    if page.suffix == ".md":
        text = "\n".join(re.findall(r"^ *```\w*\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE))
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if match := re.match(r"\s*(?:\S+=\S+ )*(?:\S*/)?sji-edge (.+)", line):
            yield match.group(1)


def unknown_words(line: str) -> list[str]:
    """Return the options, and the command if it is unknown, that the command line would refuse."""
    command: Any = typer.main.get_command(application())
    words = shlex.split(line, comments=True)
    while words and getattr(command, "commands", None):
        command = command.commands.get(words[0])
        if command is None:
            return words[:1]
        words = words[1:]
    known = {text for parameter in command.params for text in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in words if word.startswith("--") and word.split("=")[0] not in {*known, "--help"}]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_that_a_page_shows_exists(page) -> None:
    shown = list(command_lines(page))
    assert [(line, unknown_words(line)) for line in shown if unknown_words(line)] == []


def test_an_option_that_does_not_exist_is_found() -> None:
    assert unknown_words("audit joints/ --strict --json audit.json") == ["--json"]
    assert unknown_words("judge --stream camera0") == ["judge"]
    assert unknown_words("inspections boards --verdict ERROR  # a comment --with") == []


def test_the_pages_show_commands() -> None:
    assert sum(len(list(command_lines(page))) for page in PAGES) > 50
