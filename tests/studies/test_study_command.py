import json

import pytest

from sji_edge.cli.main import run
from sji_edge.core.errors import EnvironmentMismatchError, UsageError
from sji_edge.evaluation.unknown.kinds import KINDS
from sji_edge.studies.report import report
from sji_edge.studies.run import _record, run_study
from sji_edge.studies.settings import PRESETS, Budget, StudySettings
from sji_edge.studies.trials import FOLDER

WRITTEN = {
    "chosen.json",
    "figures.json",
    "table.md",
    "reliability.png",
    "risk-coverage.png",
    "false-calls.png",
}


def exit_code(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run([str(word) for word in words])
    return stop.value.code


def logits_by_name(out):
    return {
        path.name: json.loads(path.read_text())["logits"] for path in sorted((out / FOLDER).glob("*.json"))
    }


def test_a_study_writes_its_trials_table_and_pictures_and_goes_on_where_it_stopped(settings):
    wanted = settings()
    told: list[str] = []
    report(wanted, run_study(wanted, told.append))
    out = wanted.out
    assert {path.name for path in out.iterdir()} >= WRITTEN
    before = {path: path.stat().st_mtime_ns for path in (out / FOLDER).iterdir()}
    # Two methods, two tries with seed 0, and one more seed of the best.
    assert len(before) == 2 * (2 + 1)
    assert any("searched: focal on efficientnet_lite0, gamma=" in line for line in told)
    table = (out / "table.md").read_text()
    assert table.count("| focal |") + table.count("| **focal** |") == 2
    assert "trains only the last block and the head, for 1 epoch, on" in table
    record = json.loads((out / "figures.json").read_text())
    assert {cell["method"] for cell in record["cells"]} == {"ce", "focal"}
    lost = next(path for path in before if "seed1" in path.name)
    kept = json.loads(lost.read_text())["logits"]
    lost.unlink()
    run_study(wanted, told.append)
    assert json.loads(lost.read_text())["logits"] == kept
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items() if path != lost)


@pytest.mark.slow
def test_two_processes_train_what_one_trains(settings, tmp_path):
    outs = [tmp_path / "one", tmp_path / "two"]
    for workers, out in enumerate(outs, 1):
        run_study(settings(out=out, workers=workers, methods=("ce", "mutual-channel")), str)
    assert logits_by_name(outs[0]) == logits_by_name(outs[1])


@pytest.mark.slow
def test_the_full_way_keeps_runs_of_whole_networks(settings, joints_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = exit_code(
        *("study", joints_folder, "--preset", "full", "--methods", "jigsaw,ce", "--backbones", "resnet18+se"),
        *("--seeds", 1, "--tries", 1, "--epochs", 1, "--image-size", 32, "--replicates", 100, "--workers", 1),
    )
    assert code == 0
    assert "| jigsaw | lr 0.001 |" in capsys.readouterr().out.replace("**", "")
    runs = [path.name for path in (tmp_path / "studies/study/runs").iterdir()]
    assert len(runs) == 2
    assert all(name.startswith("resnet18+se~") for name in runs)
    kept = {path.name for path in (tmp_path / "studies/study/runs").glob("*/*")}
    assert kept == {"card.json", "metrics.csv", "epochs.png", "scores.png"}


@pytest.mark.slow
def test_a_guarded_study_shows_each_trained_seed_what_it_never_learned(settings):
    whole = Budget(image_size=48, epochs=1, batch_size=8)
    wanted = settings(budget=whole, methods=("ce",), backbones=("resnet18",), tries=1, guard=True)
    (cell,) = run_study(wanted, str)
    assert len(cell.trials) == 2
    for trial in cell.trials:
        assert set(trial.unknown) == {kind.name for kind in KINDS if kind.need == "joint"}
        assert all(0 <= guarded <= alone <= 1 for alone, guarded in trial.unknown.values())
    # The search's own trials have none: they cost nothing more.
    tried = [json.loads(path.read_text()) for path in (wanted.out / FOLDER).glob("*.json")]
    assert [trial["unknown"] for trial in tried if not trial["spec"]["guard"]] == [None]
    assert not list((wanted.out / "runs").glob("*/*.safetensors"))


@pytest.mark.slow
def test_a_method_that_a_backbone_cannot_be_trained_with_is_left_out_and_said(settings):
    whole = Budget(image_size=32, epochs=1, batch_size=8)
    told: list[str] = []
    wanted = settings(
        budget=whole, methods=("ce", "mutual-channel"), backbones=("mnasnet0_5",), seeds=1, tries=1
    )
    assert [cell.method for cell in run_study(wanted, told.append)] == ["ce"]
    assert any("left out: mutual-channel on mnasnet0_5; mnasnet0_5 offers no feature map" in t for t in told)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--methods", "focl"), "unknown method 'focl'"),
        (("--backbones", "resnet_18"), "unknown backbone 'resnet_18'"),
        (("--methods", "ce,ce"), "duplicate method 'ce'"),
        (("--methods", "jigsaw"), "needs the whole network trained"),
        (("--preset", "quik"), "unknown preset 'quik'"),
        (("--guard",), "a guard needs the whole network trained: use the preset full"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line_and_writes_nothing(
    joints_folder, tmp_path, capsys, words, said
):
    out = tmp_path / "out"
    assert exit_code("study", joints_folder, "--output", out, *words) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_frozen_trunk_wants_pretrained_weights(settings, monkeypatch, tmp_path):
    monkeypatch.setattr("torch.hub._hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        EnvironmentMismatchError, match="ImageNet weights of resnet18 are not on this machine"
    ):
        run_study(settings(backbones=("resnet18",)), str)


def test_presets_are_valid_and_the_quick_one_is_as_documented(settings, tmp_path):
    for preset in PRESETS.values():
        made = StudySettings.model_validate({**preset, "data": tmp_path, "out": tmp_path})
        assert made.seeds >= 3
    quick = PRESETS["quick"]
    assert {"ce", "label-smoothing", "confidence-penalty", "focal", "mbls"} <= set(quick["methods"])
    assert {"alpha-js-0.1", "alpha-js-0.5", "alpha-js-0.9"} <= set(quick["methods"])
    assert len(quick["backbones"]) == 2


def test_a_name_of_no_method_is_refused_before_the_data_is_read(settings, tmp_path):
    with pytest.raises(UsageError, match="unknown method"):
        run_study(settings(methods=("none",), data=tmp_path / "gone"), str)


def test_the_record_of_a_study_omits_the_password_of_its_storage(settings, tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db?password=s3cret"
    wanted = settings(storage=url, methods=("ce",), seeds=1, tries=1)
    wanted.out.mkdir()
    _record(wanted, "ab", [])
    record = (tmp_path / "study" / "chosen.json").read_text()
    assert "s3cret" not in record
    assert json.loads(record)["settings"]["storage"].startswith("sqlite://")


def test_a_study_folder_that_cannot_be_written_is_exit_7_before_the_work(joints_folder, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert exit_code("study", joints_folder, "--output", tmp_path / "file" / "out") == 7
    assert "cannot write to" in capsys.readouterr().err
