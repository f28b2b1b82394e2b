"""Enrolling good boards in a recipe: which frames and joints count, what is printed, and what infer makes of it."""

import json

import cv2
import numpy as np
import pytest
from support.bright_model import PLACES, board_image, write_recipe
from support.tiny_bundle import make_bundle

import sji_edge as sji
from sji_edge.cli.main import run
from sji_edge.core.errors import DataError, UsageError
from sji_edge.recipe.board import Recipe
from sji_edge.workflows.enrol import enrol

GREYS = {"J1": 36, "J2": 44, "J3": 38, "J4": 42, "J5": 40}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def line(tmp_path):
    """A recipe, an engine with a guard, and a folder of five frames."""
    write_recipe(tmp_path / "recipe")
    make_bundle(tmp_path / "engines", guard=True)
    frames = tmp_path / "good"
    frames.mkdir()
    for number in range(5):
        greys = {name: grey + (number * step) % 3 - 1 for step, (name, grey) in enumerate(GREYS.items(), 1)}
        cv2.imwrite(str(frames / f"board{number}.png"), board_image(greys))
    return tmp_path


def write_truth(folder, bad=()):
    rows = ["frame,refdes,state"]
    for number in range(9):
        for name in PLACES:
            state = "bridge" if (number, name) in bad else "normal"
            rows.append(f"board{number}.png,{name},{state}")
    (folder / "truth.csv").write_text("\n".join(rows) + "\n")
    return folder / "truth.csv"


def enrolled(line, **changes):
    if "truth" not in changes:
        changes["truth"] = write_truth(line)
    return enrol(line / "good", line / "recipe", **{"engines": line / "engines", **changes})


def test_frames_are_kept_byte_for_byte_with_the_joints_that_do_not_count(line):
    truth = write_truth(line, bad={(1, "J2"), (3, "J5")})
    found = enrolled(line, truth=truth)
    assert found.boards == tuple(f"board{number}.png" for number in range(5))
    assert found.joints == 5 * 5 - 2
    assert found.left_out == {"not good by the truth": 2}
    recipe = Recipe.load(line / "recipe")
    assert [board.left_out for board in recipe.enrolled.boards] == [
        {},
        {"J2": "not good by the truth: bridge"},
        {},
        {"J5": "not good by the truth: bridge"},
        {},
    ]
    for number in range(5):
        name = f"board{number}.png"
        assert (line / "recipe" / "enrolled" / name).read_bytes() == (line / "good" / name).read_bytes()


def test_without_a_truth_the_joints_that_the_engine_passes_count(line):
    path = line / "recipe" / "joints.csv"
    rows = path.read_text().splitlines()
    # A limit of its own, which this joint never reaches.
    path.write_text(
        "\n".join(row.replace(",,", ",0.1,0.2") if row.startswith("J1,") else row for row in rows) + "\n"
    )
    found = enrolled(line, truth=None)
    with sji.Inspector(engines=line / "engines", recipe=line / "recipe") as inspector:
        boards = [inspector.judge(cv2.imread(str(path), 0)) for path in sorted((line / "good").iterdir())]
    passed = [joint for board in boards for joint in board.joints if joint.score < joint.lower]
    assert {joint.refdes for joint in passed} == {"J2", "J3", "J4", "J5"}
    assert found.joints == len(passed) == 20
    assert found.left_out == {"not passed by the engine": 5}


def test_a_joint_that_cannot_be_seen_does_not_count(line):
    # A grey level of 0 is drawn flat.
    cv2.imwrite(str(line / "good" / "board3.png"), board_image(GREYS | {"J2": 0}))
    found = enrolled(line)
    assert found.left_out == {"hidden": 1}
    assert Recipe.load(line / "recipe").enrolled.boards[3].left_out == {"J2": "hidden"}


def test_what_cannot_be_enrolled_is_named(line):
    cv2.imwrite(str(line / "good" / "board7.png"), board_image(GREYS)[:, ::-1] * 0)
    (line / "good" / "board8.png").write_bytes(b"no picture")
    (line / "good" / "board9.heic").write_bytes(b"of another format")
    found = enrolled(line)
    assert len(found.boards) == 5
    assert [name for name, _ in found.refused] == ["board7.png", "board8.png"]
    assert [str(one) for one in found.files_left_out] == ["1 .heic file (board9.heic)"]


def test_too_few_boards_a_missing_row_and_a_second_enrolment_are_refused(line):
    for number in (0, 1, 2):
        (line / "good" / f"board{number}.png").unlink()
    with pytest.raises(DataError, match=r"2 boards of .* can be enrolled; 3 are needed"):
        enrolled(line)
    assert not (line / "recipe" / "enrolled").exists()
    (line / "short.csv").write_text("frame,refdes,state\nboard3.png,J1,normal\n")
    with pytest.raises(DataError, match=r"no row for joint J2 of frame board3\.png"):
        enrolled(line, truth=line / "short.csv")


def test_boards_are_replaced_only_if_that_is_wanted(line):
    enrolled(line)
    before = Recipe.load(line / "recipe").sha256
    (line / "good" / "board4.png").unlink()
    with pytest.raises(UsageError, match="has enrolled boards already"):
        enrolled(line)
    assert Recipe.load(line / "recipe").sha256 == before
    assert len(enrolled(line, replace=True).boards) == 4
    assert Recipe.load(line / "recipe").sha256 != before


def test_boards_that_are_enrolled_stay_when_new_ones_cannot_be_written(line, monkeypatch):
    enrolled(line)
    before = Recipe.load(line / "recipe").sha256

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sji_edge.workflows.enrol.write_enrolled", full)
    with pytest.raises((OSError, sji.SjiError)):
        enrolled(line, replace=True)
    assert Recipe.load(line / "recipe").sha256 == before
    assert sorted(path.name for path in (line / "recipe").iterdir()) == [
        "board.json",
        "enrolled",
        "joints.csv",
    ]


def test_an_engine_without_a_guard_cannot_compare_joints(line, tmp_path):
    make_bundle(tmp_path / "plain")
    with pytest.raises(UsageError, match="has no guard, so joints cannot be compared"):
        enrolled(line, engines=tmp_path / "plain")


def test_a_second_start_takes_what_was_learned_from_the_cache(line, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(line / "cache"))
    enrolled(line)

    def learned():
        with sji.Inspector(engines=line / "engines", recipe=line / "recipe") as inspector:
            return inspector.places(Recipe.load(line / "recipe"))

    first = learned()
    (kept,) = (line / "cache").rglob("*.npz")
    monkeypatch.setattr("sji_edge.workflows.inspect.places.places_of", None)
    again = learned()
    for name in ("mean", "precision", "limit", "held_out"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(line / "cache"))
    kept.write_bytes(b"damaged")
    np.testing.assert_array_equal(learned().mean, first.mean)
    # Other boards are not what was learned.
    (line / "good" / "board4.png").unlink()
    enrolled(line, replace=True)
    assert learned().boards == 4


def exit_code(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run([str(word) for word in words])
    return int(stop.value.code or 0)


def test_infer_says_whether_boards_are_enrolled_and_records_the_deviation(line, capsys):
    infer = ("infer", "--stream", line / "good", "--recipe", line / "recipe", "--engines", line / "engines")
    assert exit_code(*infer, "--output", line / "before") == 0
    assert "recipe recipe: no boards are enrolled, so a turned board" in capsys.readouterr().out
    enrol_words = (
        "recipe",
        "enrol",
        line / "good",
        "--recipe",
        line / "recipe",
        "--engines",
        line / "engines",
    )
    assert exit_code(*enrol_words, "--truth", write_truth(line)) == 0
    printed = capsys.readouterr().out
    assert "5 boards enrolled" in printed
    assert "of the good joints are too far from their place" in printed
    assert exit_code(*infer, "--output", line / "after") == 0
    assert "each joint is compared with its place on 5 enrolled boards" in capsys.readouterr().out
    lines = next((line / "after").glob("*.jsonl")).read_text().splitlines()
    joints = [entry for entry in map(json.loads, lines) if entry["type"] == "joint"]
    assert len(joints) == 25
    # These boards were learned from: hardly one of their joints is unlike its place.
    assert sum(joint["deviation"] < 1 for joint in joints) >= 24
