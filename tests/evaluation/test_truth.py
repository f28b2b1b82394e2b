import json
from pathlib import Path

import pytest

from sji_edge.core.errors import DataError
from sji_edge.evaluation.truth import rates_against_truth

TRUTH = "frame,refdes,state\na.png,J1,normal\na.png,J2,bridge\nb.png,J1,normal\nb.png,J2,bridge\n"


def written(folder: Path, *verdicts: tuple[str, str, str]) -> tuple[Path, Path]:
    records, truth = folder / "records.jsonl", folder / "truth.csv"
    lines = [
        {"type": "joint", "frame": frame, "refdes": refdes, "verdict": said}
        for frame, refdes, said in verdicts
    ]
    records.write_text("".join(json.dumps(line) + "\n" for line in [{"type": "board"}, *lines]))
    truth.write_text(TRUTH)
    return records, truth


def test_escapes_and_false_calls_are_counted(tmp_path: Path) -> None:
    files = written(
        tmp_path,
        ("a.png", "J1", "FAIL"),
        ("a.png", "J2", "PASS"),
        ("b.png", "J1", "PASS"),
        ("b.png", "J2", "FAIL"),
    )
    rates = rates_against_truth(*files)
    assert (rates.escapes, rates.defects, rates.false_calls, rates.goods) == (1, 2, 1, 2)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    records, truth = written(tmp_path, ("c.png", "J1", "PASS"))
    with pytest.raises(DataError, match=r"has no row for joint J1 of frame c\.png"):
        rates_against_truth(records, truth)
    records, truth = written(tmp_path)
    with pytest.raises(DataError, match="holds no joint"):
        rates_against_truth(records, truth)
    for text in (
        "{",
        "[" * 100_000,
        "\udcff",
        "[]",
        '{"type": "joint"}',
        '{"type": "joint", "frame": "a.png", "refdes": "J1", "verdict": "X"}',
    ):
        records.write_text(text, errors="surrogateescape")
        with pytest.raises(DataError, match="cannot read the records"):
            rates_against_truth(records, truth)
    with pytest.raises(DataError, match="cannot read the records"):
        rates_against_truth(tmp_path, truth)
    truth.write_text("frame,refdes\na.png,J1\n")
    with pytest.raises(DataError, match="no column 'state'"):
        rates_against_truth(records, truth)
    truth.write_text("frame,refdes,state\na.png,\udcff,normal\n", errors="surrogateescape")
    with pytest.raises(DataError, match="cannot read"):
        rates_against_truth(records, truth)
