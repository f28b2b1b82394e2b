"""Joints that are called more often than their peers, as the command shows them."""

import json
from contextlib import closing

import pytest
from scipy import stats

from sji_edge.cli.main import run
from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.records.write.sqlite import SqliteSink

BOARDS = 30
PACKAGES = {f"J{n:02d}": "rect" if n < 8 else "bar" if n < 14 else "lone" for n in range(15)}
RECIPE = "r" * 64
BAD = range(10, 20)


def verdict(refdes, number):
    """J03 fails on ten boards in a row; each joint is in doubt once, J05 was twice not judged."""
    if refdes == "J03" and number in BAD:
        return Verdict.FAIL
    if refdes == "J05" and number < 2:
        return Verdict.ERROR
    return Verdict.REVIEW if number == int(refdes[1:]) + 3 and refdes != "J03" else Verdict.PASS


def board(number, recipe=RECIPE, verdicts=verdict):
    scores = {Verdict.PASS: 0.1, Verdict.REVIEW: 0.5, Verdict.FAIL: 0.99, Verdict.ERROR: None}
    joints = tuple(
        JointRecord(name, found, scores[found], 0.3, 0.6, "defective")
        for name in PACKAGES
        for found in [verdicts(name, number)]
    )
    return BoardRecord(
        f"run-{number:06d}",
        number,
        f"{number}.png",
        f"2025-01-31T08:00:{number:02d}+00:00",
        max((joint.verdict for joint in joints), key=[*scores].index),
        joints,
        "e" * 64,
        recipe,
    )


def database_of(path, boards, packages=PACKAGES):
    with closing(SqliteSink(path)) as sink:
        if packages:
            sink.keep_packages(RECIPE, packages)
        for one in boards:
            sink.write(one)
    return path


@pytest.fixture
def database(tmp_path):
    return database_of(tmp_path / "inspections.db", map(board, range(BOARDS)))


def answer(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        run(["inspections", *map(str, words), "--json"])
    assert stop.value.code in (0, None)
    return json.loads(capsys.readouterr().out)


def test_the_joint_that_fails_in_a_row_stands_out_from_its_package(database, capsys):
    [found] = answer(capsys, "candidates", "--database", database)["standing_out"]
    assert (found["refdes"], found["package"], found["peers"]) == ("J03", "rect", "7 rect")
    assert (found["judged"], found["fails"], found["reviews"], found["in_a_row"]) == (30, 10, 0, 10)
    assert found["peers_rate"] == 7 / (7 * BOARDS - 2)
    table = [[10, 20], [7, 7 * BOARDS - 2 - 7]]
    # The smallest of fifteen p-values.
    assert found["p"] == pytest.approx(15 * stats.fisher_exact(table, "greater").pvalue)
    low = stats.binomtest(10, 30).proportion_ci(0.95, "exact").low
    high = stats.binomtest(7, 7 * BOARDS - 2).proportion_ci(0.95, "exact").high
    assert found["at_least"] == pytest.approx(low / high)
    assert found["median_margin"] > 4


def test_the_filter_chooses_among_what_was_found_and_keeps_the_peers(database, capsys):
    words = ("candidates", "--database", database, "--refdes")
    assert answer(capsys, *words, "J04")["standing_out"] == []
    assert [row["peers"] for row in answer(capsys, *words, "J03")["standing_out"]] == ["7 rect"]
    few = answer(capsys, "candidates", "--database", database, "--until", "2025-01-31T08:00:10")
    assert few["standing_out"] == []


def test_a_joint_alone_in_its_package_is_compared_with_all_others(tmp_path, capsys):
    def lone(refdes, number):
        return Verdict.FAIL if refdes == "J14" and number in BAD else Verdict.PASS

    path = database_of(tmp_path / "a.db", (board(number, verdicts=lone) for number in range(BOARDS)))
    [found] = answer(capsys, "candidates", "--database", path)["standing_out"]
    assert (found["refdes"], found["peers"], found["peers_rate"]) == ("J14", "14 others", 0.0)
    [package] = answer(capsys, "candidates", "--database", path, "--by", "package")["standing_out"]
    assert (package["package"], package["joints"], package["fails"], package["peers"]) == (
        "lone",
        1,
        10,
        "14 others",
    )


def test_joints_that_are_all_alike_do_not_stand_out(tmp_path, capsys):
    def alike(refdes, number):
        return Verdict.FAIL if number % 3 == 0 else Verdict.PASS

    path = database_of(tmp_path / "a.db", (board(number, verdicts=alike) for number in range(BOARDS)))
    for by in ("refdes", "package"):
        assert answer(capsys, "candidates", "--database", path, "--by", by)["standing_out"] == []


def test_pareto_by_package_adds_up_its_joints(database, capsys):
    rows = answer(capsys, "pareto", "--by", "package", "--database", database)
    assert [(row["package"], row["judged"], row["fails"], row["reviews"], row["errors"]) for row in rows] == [
        ("rect", 8 * BOARDS - 2, 10, 7, 2),
        ("bar", 6 * BOARDS, 0, 6, 0),
        ("lone", BOARDS, 0, 1, 0),
    ]


def test_packages_belong_to_their_recipe(tmp_path, capsys):
    path = database_of(tmp_path / "a.db", [board(5), board(7, recipe="s" * 64)])
    rows = answer(capsys, "pareto", "--by", "package", "--database", path)
    assert {row["package"]: row["judged"] for row in rows} == {"rect": 8, "": 15}


def test_without_known_packages_the_hint_says_what_to_do(tmp_path, capsys):
    path = database_of(tmp_path / "a.db", map(board, range(3)), packages={})
    for command in ("pareto", "candidates"):
        with pytest.raises(SystemExit) as stop:
            run(["inspections", command, "--by", "package", "--database", str(path)])
        assert stop.value.code == 2
        assert "run sji-edge infer with their recipe once" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        run(["inspections", "pareto", "--by", "color", "--database", str(path)])
    assert stop.value.code == 2


def test_a_package_and_its_peers_count_the_joints_of_each_recipe(tmp_path, capsys):
    def rect(refdes, number):
        return Verdict.FAIL if PACKAGES[refdes] == "rect" and number % 3 == 0 else Verdict.PASS

    other = "s" * 64
    path = database_of(
        tmp_path / "a.db",
        (board(number, RECIPE if number < 15 else other, rect) for number in range(BOARDS)),
    )
    with closing(SqliteSink(path)) as sink:
        sink.keep_packages(other, PACKAGES)
    [found] = answer(capsys, "candidates", "--by", "package", "--database", path)["standing_out"]
    assert (found["package"], found["joints"], found["peers"]) == ("rect", 2 * 8, f"{2 * 7} others")
