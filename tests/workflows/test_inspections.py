"""The commands of ``inspections`` on records whose names are hostile, and the workflows below them."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from sji_edge.cli.main import run
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.text import readable
from sji_edge.core.verdict import Verdict
from sji_edge.records.read.history import Filter
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.workflows.inspections import (
    export_table,
    find_candidates,
    list_boards,
    list_joints,
    list_runs,
    rank_failures,
)

NAMES = ("[red]J1[/red]", "J2\nFAIL forged", "J3")


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "inspections.db"
    with closing(SqliteSink(path)) as sink:
        for number in range(3):
            joints = tuple(
                JointRecord(name, Verdict.FAIL, 0.61 + place / 100, 0.3, 0.6, "bridge")
                for place, name in enumerate(NAMES)
            )
            utc = f"2025-01-31T08:00:0{number}+00:00"
            board = f"run-{number:06d}"
            sink.write(
                BoardRecord(board, number, f"{number}.png", utc, Verdict.FAIL, joints, "e" * 64, "r" * 64)
            )
    return path


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run(["inspections", *map(str, words)])
    return int(stop.value.code or 0)


@pytest.mark.parametrize("name", ["joints", "pareto", "candidates"])
def test_a_name_is_printed_without_markup_on_one_line(
    records: Path, capsys, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # On a narrow terminal, too.
    monkeypatch.setenv("COLUMNS", "60")
    assert command(name, "--database", records) == 0
    said = capsys.readouterr().out
    assert "[red]J1[/red]" in said
    assert r"J2\x0aFAIL forged" in said


def test_the_workflows_return_what_the_commands_print(records: Path, capsys) -> None:
    wanted = Filter(refdes=NAMES[2])
    close = find_candidates(records, wanted).close_calls
    assert [(one.refdes, one.score) for one in close] == [(NAMES[2], 0.63)] * 3
    assert [row.name for row in rank_failures(records)] == sorted(map(readable, NAMES))
    assert [row["boards"] for row in list_runs(records)] == [3]
    assert len(list_joints(records, wanted, limit=2)) == 2
    assert capsys.readouterr() == ("", "")
    assert command("boards", "--database", records, "--limit", 2, "--json") == 0
    assert json.loads(capsys.readouterr().out) == list_boards(records, limit=2)


def test_only_refdes_and_package_can_be_compared(records: Path) -> None:
    for ask in (rank_failures, find_candidates):
        with pytest.raises(UsageError, match="by refdes or package \\(got 'colour'\\)"):
            ask(records, by="colour")
        with pytest.raises(UsageError, match="no package of these joints"):
            ask(records, by="package")


def test_a_table_that_cannot_be_written_ends_with_7(records: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        export_table(records, tmp_path / "file" / "joints.csv")
    assert command("export", tmp_path / "file" / "joints.csv", "--database", records) == 7
