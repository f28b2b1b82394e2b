import json

import cv2
import numpy as np
import pytest
from support.bright_model import SPEC, grey_patch
from support.greys_on_boards import bright_bundle
from support.labelled_pool import UNITS, fill, label
from support.pool_material import new_crop, origin
from typer.testing import CliRunner

import sji_edge as sji
from sji_edge.cli.app import application
from sji_edge.core.errors import DataError, GateError, UsageError
from sji_edge.core.trust import Trust
from sji_edge.pool.schema import KeptBecause
from sji_edge.pool.write import PoolWriter
from sji_edge.runtime.bundle.selection import choose_engine
from sji_edge.workflows.challenge.challenge import challenge

GOOD_GREY, DEFECT_GREY = 40, 80


@pytest.fixture(scope="module")
def joints(tmp_path_factory):
    """Good joints of grey level 40 and defects of 80, in three splits; one defect in training has only 62."""
    root = tmp_path_factory.mktemp("joints")
    for split, number in (("train", 12), ("validation", 6), ("test", 30)):
        for name, grey in (("normal", GOOD_GREY), ("defective", DEFECT_GREY)):
            (root / split / name).mkdir(parents=True)
            for index in range(number):
                picture = grey_patch(grey + index % 3, SPEC.height)
                cv2.imwrite(str(root / split / name / f"{index:02d}.png"), picture)
    cv2.imwrite(str(root / "train" / "defective" / "dim.png"), grey_patch(62, SPEC.height))
    return root


@pytest.fixture
def engines(tmp_path):
    """The deployed engine in ``engines``, and three candidates beside it."""
    bright_bundle(tmp_path / "engines", "deployed", knee=60.0)
    for name, knee in (("better", 57.0), ("blind", 70.0), ("nervous", 41.0)):
        bright_bundle(tmp_path / "candidates", name, knee=knee)
    return tmp_path


def run(engines, name, joints, **options):
    return challenge(engines / "candidates" / name, joints, engines=engines / "engines", **options)


def test_an_engine_that_misses_nothing_and_calls_no_more_passes(engines, joints):
    result = run(engines, "better", joints)
    assert result
    assert (result.new, result.old) == ("better", "deployed")
    assert (result.outcome.calls.joints, result.outcome.escapes.joints, result.outcome.defects) == (
        30,
        30,
        49,
    )
    assert result.installed is None


def test_a_confirmed_defect_of_the_training_split_that_is_missed_fails_the_challenge(engines, joints):
    result = run(engines, "blind", joints)
    assert not result
    assert result.outcome.escapes.new == 0
    assert result.outcome.newly_missed == ("train/defective/dim.png",)


def test_more_false_calls_fail_the_challenge(engines, joints):
    result = run(engines, "nervous", joints)
    assert not result
    assert result.outcome.calls.new > 0
    assert "McNemar" in result.outcome.failures[0]


def test_show_only_installs_nothing(engines, joints):
    run(engines, "better", joints, trust=Trust.SHOW_ONLY)
    assert choose_engine(engines / "engines").folder.name == "deployed"
    with pytest.raises(UsageError, match="nothing is installed at the trust level show-only") as refused:
        run(engines, "better", joints, accept=True)
    assert "--trust semi-automatic" in refused.value.hint


def test_semi_automatic_installs_what_a_person_accepts(engines, joints):
    assert run(engines, "better", joints, trust="semi-automatic").installed is None
    assert choose_engine(engines / "engines").folder.name == "deployed"
    result = run(engines, "better", joints, trust="semi-automatic", accept=True)
    assert result.installed.taken
    assert choose_engine(engines / "engines").folder.name == "better"
    journal = [
        json.loads(line) for line in (engines / "engines" / "installed.jsonl").read_text().splitlines()
    ]
    assert [(one["engine"], one["against"], one["trust"]) for one in journal] == [
        ("better", "deployed", "semi-automatic")
    ]


def test_automatic_installs_a_passed_engine_and_never_a_failed_one(engines, joints):
    assert run(engines, "blind", joints, trust="automatic").installed is None
    assert not (engines / "engines" / "blind").exists()
    assert (
        run(engines, "better", joints, trust="automatic").installed.folder == engines / "engines" / "better"
    )
    with sji.Inspector(engines=engines / "engines") as inspector:
        assert inspector.engine.name == "better"


def test_an_installed_engine_that_infer_does_not_take_is_told(tmp_path, joints):
    bright_bundle(tmp_path / "candidates", "better", knee=57.0)
    bright_bundle(tmp_path / "engines", "deployed")
    result = run(tmp_path, "better", joints, trust="automatic")
    assert not result.installed.taken
    assert result.installed.instead.startswith("deployed, ")


def test_an_altered_engine_is_not_installed(engines, joints):
    graph = engines / "candidates" / "better" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"x")
    with pytest.raises(sji.SjiError):
        run(engines, "better", joints, trust="automatic")
    assert not (engines / "engines" / "better").exists()


def test_a_name_that_is_taken_is_refused_before_anything_is_judged(engines, joints):
    bright_bundle(engines / "engines", "better", knee=58.0)
    with pytest.raises(UsageError, match="never overwritten"):
        run(engines, "better", joints, trust="automatic", against=engines / "engines" / "deployed")


def test_what_cannot_be_compared_is_refused(engines, joints, tmp_path):
    with pytest.raises(UsageError, match="same model"):
        challenge(engines / "engines" / "deployed", joints, engines=engines / "engines")
    with pytest.raises(UsageError, match="is not an engine"):
        run(engines, "../engines", joints, trust="automatic")
    with pytest.raises(UsageError, match=r"the new model .*nowhere does not exist"):
        run(engines, "nowhere", joints)
    with pytest.raises(UsageError, match="trust must be one of show-only"):
        run(engines, "better", joints, trust="blind")
    (tmp_path / "empty" / "train" / "normal").mkdir(parents=True)
    with pytest.raises(DataError, match="no test split"):
        run(engines, "better", tmp_path / "empty")


def test_a_built_dataset_names_the_joints_and_counts_the_boards_places(engines, tmp_path):
    pool = fill(tmp_path / "pool", refdes=("J1", "J2", "J3"))
    label(
        pool,
        {(unit, name): "bridge" if name == "J2" else "normal" for unit in UNITS for name in ("J1", "J2")},
    )
    made = sji.build_dataset([pool], tmp_path / "built")
    result = run(engines, "better", made.folder, defect_share=0.001)
    assert "1,000 boards of 2 joints with 2 defects" in result.words[2]
    assert result.version == made.card.version
    named = result.outcome.newly_missed + result.outcome.newly_caught
    assert all(name.startswith("amplifier SN") and name.endswith("(bridge)") for name in named)


def test_joints_that_an_engine_chose_count_as_confirmed_defects_only(engines, tmp_path):
    places = [(unit, name) for unit in UNITS for name in ("J1", "J2")]
    pool, line = fill(tmp_path / "pool"), tmp_path / "line"
    with PoolWriter(line) as writer:
        for unit in UNITS:
            chosen = new_crop("J3", png=dark_with_box(62), kept_because=KeptBecause.CALLED)
            writer.add(origin(unit), [chosen])
    label(pool, {(unit, name): "bridge" if name == "J2" else "normal" for unit, name in places})
    label(
        line,
        {(unit, "J3"): "bridge" for unit in UNITS[:12]} | {(unit, "J3"): "normal" for unit in UNITS[12:]},
    )
    alone = sji.build_dataset([pool], tmp_path / "alone")
    both = sji.build_dataset([pool, line], tmp_path / "both")
    without = run(engines, "blind", alone.folder)
    result = run(engines, "blind", both.folder)
    assert (result.outcome.calls, result.outcome.escapes) == (without.outcome.calls, without.outcome.escapes)
    assert result.outcome.defects == without.outcome.defects + 12
    # The deployed engine calls grey level 62; the new one passes it.
    assert len(result.outcome.newly_missed) == len(without.outcome.newly_missed) + 12
    assert any("were chosen by their verdict" in note for note in result.notes)


def dark_with_box(grey):
    """A PNG whose box, as ``new_crop`` has it, shows a pattern of this grey level."""
    pixels = np.zeros((20, 20), np.uint8)
    pixels[5:15, 5:15] = cv2.resize(grey_patch(grey, SPEC.height), (10, 10), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_the_command_reports_and_ends_with_3(engines, joints, monkeypatch):
    monkeypatch.chdir(engines)
    words = ["challenge", "candidates/better", str(joints), "--json-file", "found.json"]
    done = CliRunner().invoke(application(), words)
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "passed; trust show-only: nothing is installed" in said
    assert "Per 1,000 joints, somebody has to look at" in said
    found = json.loads((engines / "found.json").read_text())
    assert found["passed"]
    assert found["calls"]["joints"] == 30
    failed = CliRunner().invoke(application(), ["challenge", "candidates/blind", str(joints)])
    assert isinstance(failed.exception, GateError)
    assert "blind must not replace deployed" in failed.exception.message


def test_the_level_of_trust_can_be_set_for_the_line(engines, joints, monkeypatch):
    monkeypatch.chdir(engines)
    (engines / "sji-edge.toml").write_text('trust = "automatic"\n')
    done = CliRunner().invoke(application(), ["challenge", "candidates/better", str(joints)])
    assert "passed and installed: infer takes engines/better" in " ".join(done.output.split())
    (engines / "sji-edge.toml").write_text('trust = "total"\n')
    assert isinstance(
        CliRunner().invoke(application(), ["challenge", "candidates/better", str(joints)]).exception,
        UsageError,
    )


def test_the_guard_and_the_limits_of_each_engine_decide(engines, joints):
    bright_bundle(engines / "candidates", "guarded", knee=60.0, guard=True)
    result = run(engines, "guarded", joints)
    # Grey levels of 40 to 42 are within the guard's limit of 10 levels; the defects are called by both.
    assert result
    assert np.isclose(result.outcome.calls.rate, 0.0)
