import json
import re
import shutil

import cv2
import numpy as np
import onnx
import pytest
from support.tiny_bundle import card, formula, make_bundle, novelty_formula, write_graph
from support.tiny_dataset import write_dataset

from sji_edge.cli.main import run
from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.verdict import Thresholds
from sji_edge.data.folder import crops_of
from sji_edge.data.synthetic.boards import write_boards
from sji_edge.evaluation.unknown import boards as tried_boards
from sji_edge.evaluation.unknown.crops import pictures_of
from sji_edge.evaluation.unknown.kinds import KINDS, TURNED
from sji_edge.inspection.judging import places
from sji_edge.workflows.evaluate import evaluate as workflow

COUNTS = {"validation": {"normal": 6, "defective": 4}, "test": {"normal": 14, "defective": 6}}
SPEC = PreprocessSpec(height=16, width=16, channels=1)
JOINTS = 12
LIMITS = Thresholds(lower=0.386, upper=0.39, novelty=0.012)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("engines"), guard=True).folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("engines")).folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "joints", COUNTS)


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("boards") / "board"
    write_boards(folder, seed=3, frames=2, joints=JOINTS, defect_rate=0.4, faultless_every=0)
    return folder


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(tried_boards, "JOINTS_A_KIND", 3)


def evaluate(data, subject, output, **more):
    return workflow.evaluate(data, subject, unknown=True, replicates=100, output=output, **more)


def rows(document, source):
    return {row.kind: row for row in document.unknown.rows if row.source == source}


def scores_of(crops):
    """1 − p(good) by the model's formula."""
    logits = formula(crops)
    return 1 - 1 / (1 + np.exp(logits[:, 1] - logits[:, 0]))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A guarded graph whose score passes nearly everything, and whose guard stops about half of that."""
    path = write_graph(tmp_path_factory.mktemp("graph") / "model.onnx", guard=True)
    graph = onnx.load(path)
    onnx.helper.set_model_props(graph, {"sji_edge_card": card(thresholds=LIMITS).model_dump_json()})
    onnx.save(graph, path)
    return path


@pytest.fixture(scope="module")
def judged(model, data, tmp_path_factory):
    return evaluate(data, model, tmp_path_factory.mktemp("judged") / "report")


def test_each_kind_counts_what_the_model_s_formula_passes(judged, data):
    images = [cv2.imread(str(path), 0) for path in sorted((data / "test" / "normal").iterdir())]
    defects = [cv2.imread(str(path), 0) for path in sorted((data / "test" / "defective").iterdir())]
    chosen = [images[index] for index in np.random.default_rng(0).permutation(len(images))]
    pictures = {
        kind.name: pictures_of(kind, chosen, [""] * len(chosen), SPEC, 0)
        for kind in KINDS
        if kind.need == "joint"
    }
    pictures |= {"good joints": crops_of(images, SPEC), "known defects": crops_of(defects, SPEC)}
    found = rows(judged.document, "crops")
    assert set(found) == set(pictures)
    assert list(found)[:2] == ["good joints", "known defects"]
    counts = np.zeros(3, int)
    for name, crops in pictures.items():
        alone = scores_of(crops) < LIMITS.lower
        both = alone & (novelty_formula(crops) < LIMITS.novelty)
        assert found[name].joints == len(crops)
        assert found[name].score_alone.passed == alone.sum()
        assert found[name].with_guard.passed == both.sum() == found[name].decided.get("PASS", 0)
        assert found[name].decided.get("REVIEW unlike-training", 0) == (alone & ~both).sum()
        counts += [alone.sum(), both.sum(), (~alone).sum()]
    assert counts[0] > counts[1] > 0 < counts[2]


def test_the_report_shows_every_kind_and_names_what_joints_alone_cannot_show(judged):
    page = judged.page.read_text()
    assert "Like nothing learned" in page
    assert "PASS with guard" in page
    assert "<li>absent: needs frames and a recipe</li>" in page
    for row in judged.document.unknown.rows:
        assert page.count(f'alt="{row.kind}"') == 1
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)


def test_the_json_holds_the_rows_with_both_intervals(judged):
    report = json.loads((judged.folder / "report.json").read_text())["unknown"]
    assert report["guarded"] is True
    assert report["seed"] == 0
    for row in report["rows"]:
        assert set(row) == {"kind", "shows", "source", "joints", "score_alone", "with_guard", "decided"}
        for column in (row["score_alone"], row["with_guard"]):
            assert set(column) == {"passed", "share", "low", "high"}
            assert 0 <= column["low"] <= column["share"] <= column["high"] <= 1
        assert sum(row["decided"].values()) == row["joints"]


def test_a_model_without_a_guard_says_so_and_shows_one_column(plain, data, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run(["evaluate", str(data), "--of", str(plain), "--unknown", "--output", str(tmp_path / "report")])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "This model has no guard" in said
    assert "PASS by score alone" in said
    assert "PASS with guard" not in said
    for name in ("absent", "another place", "turned board"):
        assert f"left out: {name}: needs frames and a recipe" in said
    assert "left out: another package: labels.csv names fewer than two packages" in said
    report = json.loads((tmp_path / "report" / "report.json").read_text())["unknown"]
    assert report["guarded"] is False
    assert {row["with_guard"] for row in report["rows"]} == {None}
    assert "PASS with guard" not in (tmp_path / "report" / "report.html").read_text()


def test_limits_without_one_for_the_guard_are_said(data, tmp_path):
    path = write_graph(tmp_path / "model.onnx", guard=True)
    graph = onnx.load(path)
    onnx.helper.set_model_props(
        graph, {"sji_edge_card": card(thresholds=LIMITS.without_guard).model_dump_json()}
    )
    onnx.save(graph, path)
    report = evaluate(data, path, tmp_path / "report").document.unknown
    assert report.guarded is False
    assert report.notes[0].startswith("These limits have none for the guard")


def test_frames_are_judged_as_the_inspection_judges_them(guarded, data, boards, tmp_path):
    from sji_edge import Inspector

    document = evaluate(data, guarded, tmp_path / "report", frames=boards, recipe=boards).document
    found = rows(document, "frames")
    with (boards / "truth.csv").open() as lines:
        truth = {tuple(line.split(",")[:2]): line.split(",")[2] for line in lines}
    good, bad, turned = [], [], []
    with Inspector(guarded, recipe=boards) as inspector:
        for path in sorted(boards.glob("board[0-9]*.png")):
            frame = cv2.imread(str(path), 0)
            for joint in inspector.judge(frame).joints:
                (good if truth[path.name, joint.refdes] == "normal" else bad).append(joint)
            turned += inspector.judge(np.ascontiguousarray(frame[::-1, ::-1])).joints
    for name, joints in (("good joints", good), ("known defects", bad), (TURNED, turned)):
        assert found[name].joints == len(joints)
        assert found[name].with_guard.passed == sum(joint.verdict == "PASS" for joint in joints)
        alone = [joint for joint in joints if joint.score is not None and joint.score < joint.lower]
        assert found[name].score_alone.passed == len(alone)
    for kind in KINDS:
        assert 1 <= found[kind.name].joints <= 3
    assert not document.unknown.left_out


def test_enrolled_boards_count_for_the_product_and_not_for_the_score_alone(
    guarded, data, tmp_path, monkeypatch
):
    from sji_edge import Inspector, enrol

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # So narrow that one joint in two is unlike its place.
    monkeypatch.setattr(places, "MARGIN", 0.5)
    folder, bare = tmp_path / "board", tmp_path / "bare"
    write_boards(folder, seed=3, frames=4, joints=JOINTS, defect_rate=0.0, faultless_every=1)
    shutil.copytree(folder, bare)
    enrol(bare, folder, engine=guarded, truth=folder / "truth.csv")
    settings = json.loads((folder / "board.json").read_text())
    settings["checks"] = {"max_unlike_share": 1.0}
    (folder / "board.json").write_text(json.dumps(settings))
    found = rows(evaluate(data, guarded, tmp_path / "report", frames=bare, recipe=folder).document, "frames")

    def judged(recipe, *, turned):
        with Inspector(guarded, recipe=recipe) as inspector:
            for path in sorted(bare.glob("*.png")):
                frame = cv2.imread(str(path), 0)
                shown = np.ascontiguousarray(frame[::-1, ::-1]) if turned else frame
                yield from inspector.judge(shown).joints

    product = list(judged(folder, turned=True))
    by_score = [joint for joint in judged(bare, turned=True) if joint.score < joint.lower]
    unlike = sum(joint.cause == "unlike-golden" for joint in product)
    assert unlike > 0
    assert found[TURNED].decided["REVIEW unlike-golden"] == unlike
    assert found[TURNED].with_guard.passed == sum(joint.verdict == "PASS" for joint in product)
    assert found[TURNED].score_alone.passed == len(by_score) >= found[TURNED].with_guard.passed + unlike


def test_a_turned_board_that_alignment_refuses_counts_as_refused(guarded, data, boards, tmp_path):
    folder = tmp_path / "board"
    shutil.copytree(boards, folder)
    board = json.loads((folder / "board.json").read_text())
    # With three marks, the one that is missing tells the two ways round apart.
    board["fiducials"] = board["fiducials"][:3]
    (folder / "board.json").write_text(json.dumps(board))
    lost = json.loads((boards / "board.json").read_text())["fiducials"][3]
    for path in folder.glob("*.png"):
        image = cv2.imread(str(path), 0)
        cv2.circle(image, (round(lost["x"]), round(lost["y"])), 60, 40, -1)
        cv2.imwrite(str(path), image)
    document = evaluate(data, guarded, tmp_path / "report", frames=folder, recipe=folder).document
    row = rows(document, "frames")[TURNED]
    assert row.decided == {"ERROR alignment": 2 * JOINTS}
    assert (row.score_alone.passed, row.with_guard.passed) == (0, 0)
    assert any(
        "2 of 2 frames turned by 180° were refused as a whole (ERROR alignment)" in n
        for n in document.unknown.notes
    )


def test_frames_without_a_truth_are_taken_to_be_good_and_it_is_said(plain, data, boards, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for path in boards.glob("board[0-9]*.png"):
        shutil.copy(path, folder)
    cv2.imwrite(str(folder / "zz-small.png"), np.full((40, 40), 90, np.uint8))
    document = evaluate(data, plain, tmp_path / "report", frames=folder, recipe=boards).document
    assert rows(document, "frames")["good joints"].joints == 2 * JOINTS
    assert "known defects" not in rows(document, "frames")
    assert "no truth.csv" in document.unknown.left_out["known defects of frames"]
    assert "not the recipe's size" in document.unknown.left_out["zz-small.png"]


def test_what_does_not_fit_together_is_refused(plain, data, boards, tmp_path):
    for wrong, said in (
        (
            {"frames": boards, "recipe": boards, "unknown": False},
            "only judged in the suite of unknown pictures",
        ),
        ({"frames": boards}, "frames without a recipe"),
        ({"recipe": boards}, "a recipe without frames"),
        ({"frames": tmp_path / "none", "recipe": boards}, "is not a folder"),
    ):
        with pytest.raises(UsageError) as caught:
            workflow.evaluate(data, plain, output=tmp_path / "report", **{"unknown": True, **wrong})
        assert said in caught.value.message
    (tmp_path / "blank").mkdir()
    cv2.imwrite(str(tmp_path / "blank" / "one.png"), np.full((40, 40), 90, np.uint8))
    with pytest.raises(DataError, match="shows a good joint of the recipe"):
        evaluate(data, plain, tmp_path / "report", frames=tmp_path / "blank", recipe=boards)
    assert not (tmp_path / "report").exists()
