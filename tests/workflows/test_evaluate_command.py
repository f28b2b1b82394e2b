import json
import re
import shutil

import cv2
import numpy as np
import pytest
import torch
from support.tiny_bundle import card, make_bundle
from support.tiny_dataset import write_dataset

from sji_edge.cli.main import run
from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.evaluation import stress
from sji_edge.evaluation.perturbations import PERTURBATIONS
from sji_edge.models.checkpoint import save_run
from sji_edge.models.classifier import JointClassifier
from sji_edge.workflows.evaluate import evaluate as workflow

COUNTS = {
    "validation": {"normal": 12, "defective": 8},
    "test": {"normal": 10, "defective": 6},
}


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "engines").folder


@pytest.fixture
def data(tmp_path):
    return write_dataset(tmp_path / "data", COUNTS)


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    """A test's worker may have a terminal's width in its environment."""
    monkeypatch.setenv("COLUMNS", "200")


def evaluate(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run(["evaluate", *map(str, words), "--replicates", "100"])
    return int(stop.value.code or 0)


def test_an_engine_is_reported_in_one_page_without_a_network(bundle, data, tmp_path, capsys):
    out = tmp_path / "report"
    assert evaluate(data, "--of", bundle, "--max-escape", "5%", "--output", out) == 0
    page = (out / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "http" not in re.sub(r"data:[^\"]*", "", page)
    assert "No activation maps" in page
    report = json.loads((out / "report.json").read_text())
    assert report["evaluation"]["joints"] == 16
    assert report["operating_point"]["max_escape"] == 0.05
    assert "defects pass" in capsys.readouterr().out


def test_a_split_without_defects_says_what_cannot_be_computed(bundle, data, tmp_path, capsys):
    shutil.rmtree(data / "test" / "defective")
    assert evaluate(data, "--of", bundle, "--output", tmp_path / "report") == 0
    said = capsys.readouterr().out
    assert "no defective joint in this split" in said
    assert "This split has none." in (tmp_path / "report" / "report.html").read_text()


def test_without_validation_no_limits_can_be_chosen_and_no_file_is_left_behind(
    bundle, data, tmp_path, capsys
):
    shutil.rmtree(data / "validation")
    assert evaluate(data, "--of", bundle, "--max-escape", "1%", "--output", tmp_path / "report") == 2
    assert "but the dataset has none" in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if "report" in path.name]


def test_an_unknown_class_is_refused(bundle, data, tmp_path, capsys):
    (data / "test" / "defective").rename(data / "test" / "bridge")
    assert evaluate(data, "--of", bundle, "--output", tmp_path / "report") == 2
    assert "does not know: bridge" in capsys.readouterr().err


def test_a_file_name_cannot_write_into_the_page(bundle, data, tmp_path):
    first = next((data / "test" / "normal").iterdir())
    first.rename(first.with_name("<script>alert(1)<.png"))
    assert evaluate(data, "--of", bundle, "--output", tmp_path / "report") == 0
    assert "<script" not in (tmp_path / "report" / "report.html").read_text()


def test_a_report_is_never_overwritten(bundle, data, tmp_path, capsys):
    assert evaluate(data, "--of", bundle, "--output", tmp_path / "report") == 0
    assert evaluate(data, "--of", bundle, "--output", tmp_path / "report") == 7
    assert "already exists" in capsys.readouterr().err


def test_the_gallery_shows_the_worst_first(bundle, data, tmp_path):
    bright = np.full((40, 40), 255, np.uint8)
    cv2.imwrite(str(data / "test" / "normal" / "zz-bright.png"), bright)
    assert evaluate(data, "--of", bundle, "--shown", 3, "--output", tmp_path / "report") == 0
    page = (tmp_path / "report" / "report.html").read_text()
    scores = [float(text) for text in re.findall(r"score ([0-9.]+)", page)]
    assert len(scores) == 6
    assert scores[:3] == sorted(scores[:3])
    assert scores[3:] == sorted(scores[3:], reverse=True)


def small_run(folder, **changes):
    torch.manual_seed(0)
    spec = PreprocessSpec(height=32, width=32, channels=1)
    folder.mkdir()
    own = card(**{"architecture": "mnasnet0_5", "preprocess": spec, **changes})
    save_run(folder, JointClassifier("mnasnet0_5", len(own.classes), spec), own)
    return folder


def test_models_of_the_same_name_each_keep_their_stress_points(data, tmp_path, monkeypatch):
    monkeypatch.setattr(stress, "PERTURBATIONS", PERTURBATIONS[:1])
    one, two, three = (make_bundle(tmp_path / name).folder for name in ("a", "b", "c"))
    asked = {"stress": True, "replicates": 100, "shown": 0}
    result = workflow.evaluate(data, one, against=[two, three], output=tmp_path / "report", **asked)
    assert list(result.document.stress) == ["tiny", f"tiny ({two})", f"tiny ({three})"]
    assert len(set(result.document.stress.values())) == 1
    with pytest.raises(UsageError, match="listed more than once"):
        workflow.evaluate(data, one, against=[two, two], output=tmp_path / "other", **asked)


def test_the_workflow_prints_nothing_and_reports_its_steps(bundle, data, tmp_path, capsys):
    steps = []
    result = workflow.evaluate(
        data, bundle, replicates=100, output=tmp_path / "report", progress=steps.append
    )
    assert steps == ["judging", "computing intervals", "drawing"]
    assert result.evaluation.joints == 16
    assert result.page.is_file()
    assert json.loads((result.folder / "report.json").read_text()) == result.document.model_dump(mode="json")
    assert capsys.readouterr() == ("", "")


def test_an_output_that_cannot_be_written_is_found_before_anything_is_judged(bundle, data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    steps = []
    with pytest.raises(OutputError):
        workflow.evaluate(data, bundle, output=tmp_path / "file" / "report", progress=steps.append)
    assert steps == []
    assert evaluate(data, "--of", bundle, "--output", tmp_path / "file" / "report") == 7
    assert "cannot create" in capsys.readouterr().err


def test_maps_come_only_from_a_run_that_fits(bundle, data, tmp_path):
    other = small_run(tmp_path / "other")
    with pytest.raises(UsageError, match="cannot explain tiny: its crops or its classes differ"):
        workflow.evaluate(data, bundle, explain=other, replicates=100, output=tmp_path / "report")
    with pytest.raises(UsageError, match="is not a run"):
        workflow.evaluate(data, bundle, explain=bundle, output=tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_wrong_settings_are_named(bundle, data, tmp_path):
    for wrong, said in (
        ({"split": "tset"}, "unknown split 'tset'"),
        ({"attention": "grda"}, "attention must be grad, eigen or none (got 'grda')"),
        ({"replicates": 9}, "replicates must be at least 100 (got 9)"),
        ({"max_escape": 1.5}, "max escape must be less than 1 (got 1.5)"),
        ({"apply": True}, "neither an escape rate nor a review budget is given"),
        ({"review_budget": 0.6}, "review budget must be at most 0.5 (got 0.6)"),
        ({"review_budget": 0.0}, "review budget must be more than 0 (got 0.0)"),
        ({"review_budget": 0.01, "max_escape": 0.01}, "both choose the PASS limit"),
        ({"against": [tmp_path]}, "under the stress test"),
    ):
        with pytest.raises(UsageError) as caught:
            workflow.evaluate(data, bundle, output=tmp_path / "report", **wrong)
        assert said in caught.value.message


def test_a_class_name_is_shown_as_it_is_and_never_as_markup(tmp_path, capsys):
    root = write_dataset(tmp_path / "data", {"test": {"[bold]ok": 4}})
    subject = small_run(tmp_path / "run", classes=("[bold]ok", "[bold]bad"), good_class="[bold]ok")
    assert evaluate(root, "--of", subject, "--attention", "none", "--output", tmp_path / "report") == 0
    said = capsys.readouterr().out
    assert "as [bold]bad" in said
    assert "no joint of class [bold]bad in this split" in said


def test_a_file_name_that_is_not_text_does_not_stop_the_report(bundle, data, tmp_path):
    first = next((data / "test" / "normal").iterdir())
    first.rename(first.with_name("\udcff.png"))
    assert evaluate(data, "--of", bundle, "--output", tmp_path / "report") == 0
    assert "udcff.png" in (tmp_path / "report" / "report.html").read_text()


def test_what_is_left_out_of_the_dataset_is_printed_and_in_the_report(bundle, data, tmp_path, capsys):
    (data / "test" / "normal" / "notes.txt").write_text("not an image")
    assert evaluate(data, "--of", bundle, "--output", tmp_path / "report") == 0
    assert "left out: " in (said := capsys.readouterr().out)
    assert "notes.txt" in said or ".txt" in said
    assert ".txt" in json.loads((tmp_path / "report" / "report.json").read_text())["facts"]["left out"]


def test_limits_can_be_applied_to_a_run_but_not_to_an_engine(bundle, data, tmp_path, capsys):
    card_file = small_run(tmp_path / "run") / "card.json"
    before = json.loads(card_file.read_text())
    words = ("--max-escape", "10%", "--apply", "--output", tmp_path / "report")
    assert evaluate(data, "--of", card_file.parent, *words) == 0
    after = json.loads(card_file.read_text())
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert after["thresholds"] == report["operating_point"]["thresholds"]
    assert {**after, "thresholds": before["thresholds"]} == before
    assert "data:image/png" in (tmp_path / "report" / "report.html").read_text()
    assert evaluate(data, "--of", bundle, *words) == 2
    assert "only a run's limits" in capsys.readouterr().err


def test_a_review_budget_chooses_the_limits_and_is_kept_in_the_run(data, tmp_path, capsys):
    folder = small_run(tmp_path / "run")
    assert (
        evaluate(data, "--of", folder, "--review-budget", "10%", "--apply", "--output", tmp_path / "a") == 0
    )
    said = capsys.readouterr().out
    after, report = (
        json.loads(path.read_text()) for path in (folder / "card.json", tmp_path / "a/report.json")
    )
    assert after["thresholds"] == report["operating_point"]["thresholds"]
    budget = report["operating_point"]["review_budget"]
    assert after["review_budget"] == budget
    assert (budget["budget"], budget["goods"], budget["defects"]) == (0.1, 60, 40)
    assert "Review budget 10.00%: 10.00% for the score" in said
    # Limits for an escape rate replace the record, too: it would no longer be true.
    assert evaluate(data, "--of", folder, "--max-escape", "10%", "--apply", "--output", tmp_path / "b") == 0
    assert json.loads((folder / "card.json").read_text())["review_budget"] is None
    assert evaluate(data, "--of", folder, "--review-budget", "60%", "--output", tmp_path / "c") == 2
    assert "at most 50% (got '60%')" in capsys.readouterr().err
