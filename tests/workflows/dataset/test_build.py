import csv
import itertools

import cv2
import numpy as np
import pytest
from support.board_records import record
from support.labelled_pool import UNITS, crop_id, fill, label, labelled_pool, verify
from support.pool_material import new_crop, origin

import sji_edge as sji
from sji_edge.core.decisions import Answer, Decision, Role
from sji_edge.core.errors import DataError, GateError, OutputError, UsageError
from sji_edge.data.folder import FolderDataset
from sji_edge.data.groups import read_groups, read_packages
from sji_edge.decisions.log import DecisionLog, Undo
from sji_edge.pool.cutting import box_of
from sji_edge.pool.read import PoolReader
from sji_edge.pool.schema import KeptBecause
from sji_edge.pool.write import PoolWriter
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.workflows.dataset.build import build_dataset
from sji_edge.workflows.dataset.diff import diff_datasets
from sji_edge.workflows.dataset.splits import SPLITS, SplitRule, check_splits


@pytest.fixture
def pool(tmp_path):
    return labelled_pool(tmp_path / "pool")


def rows_of(made):
    with (made.folder / "labels.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def places(made):
    return {(row["unit"], row["refdes"]): row for row in rows_of(made)}


def test_labels_become_folders_that_training_reads(tmp_path, pool):
    made = build_dataset([pool], tmp_path / "joints")
    data = FolderDataset.open(made.folder, strict=True)
    assert data.classes == ("normal", "defective")
    assert sum(len(samples) for samples in data.splits.values()) == 2 * len(UNITS)
    assert data.sha256() == made.card.version
    assert set(read_packages(made.folder).values()) == {"bar"}
    assert len(set(read_groups(made.folder).values())) == len(UNITS)
    row = places(made)["SN3", "J2"]
    assert (row["class"], row["state"], row["board"], row["answers"]) == (
        "defective",
        "bridge",
        "amplifier",
        "1",
    )
    assert made.card.joints["train"]["normal"] == sum(
        row["split"] == "train" and row["class"] == "normal" for row in rows_of(made)
    )


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_an_image_shows_the_joints_box(tmp_path, pool, margin):
    made = build_dataset([pool], tmp_path / "joints", margin=margin)
    row = places(made)["SN7", "J1"]
    with PoolReader(pool) as reader:
        crop = reader.get(crop_id(pool, "SN7", "J1"))
        whole = cv2.imread(str(reader.picture(crop)), cv2.IMREAD_UNCHANGED)
    image = cv2.imread(str(made.folder / row["file"]), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(image, box_of(whole, crop.box, margin))
    assert image.shape == ((10, 10) if margin == 0 else (16, 16))


def test_each_kind_of_defect_can_be_a_class(tmp_path, pool):
    made = build_dataset([pool], tmp_path / "joints", defect_class="")
    assert made.card.classes == ("normal", "bridge")


def test_a_joint_never_changes_its_split_when_units_and_joints_are_added(tmp_path, pool):
    before = build_dataset([pool], tmp_path / "one")
    fill(pool, [*UNITS, *(f"NEW{number}" for number in range(10))], ("J1", "J2", "J3"))
    label(pool, {(unit, "J3"): "normal" for unit in UNITS})
    label(pool, {(f"NEW{number}", "J1"): "bridge" for number in range(10)})
    after = build_dataset([pool], tmp_path / "two", like=before.folder)
    found = diff_datasets(before.folder, after.folder)
    assert not found.moved
    assert not found.removed
    assert len(found.added) == len(UNITS) + 10
    assert {row["split"] for row in rows_of(after) if row["unit"] == "SN5"} == {
        places(before)["SN5", "J1"]["split"]
    }


def test_units_stay_together_and_shares_are_met(tmp_path):
    rule = SplitRule(seed=1, validation=0.2, test=0.1)
    groups = [f"group{number}" for number in range(5000)]
    found = [rule.of(group) for group in groups]
    assert found.count("test") / 5000 == pytest.approx(0.1, abs=0.02)
    assert found.count("validation") / 5000 == pytest.approx(0.2, abs=0.02)
    assert [rule.of(group) for group in groups] == found


def test_a_conflict_is_listed_and_left_out_until_an_engineer_settles_it(tmp_path, pool):
    records = verify(
        tmp_path / "inspections.db",
        {("SN1", "J3"): (Answer.CONFIRMED, "bridge"), ("SN2", "J1"): (Answer.CONFIRMED, "cold")},
    )
    fill(pool, UNITS, ("J1", "J2", "J3"))
    label(pool, {("SN1", "J3"): "normal"}, who="otto2", role=Role.OPERATOR)
    made = build_dataset([pool], tmp_path / "joints", records=[records])
    (left,) = made.card.left_out
    assert (left.joint, left.why, left.defect) == ("amplifier SN1 J3", "conflict", True)
    assert set(left.said) == {"bridge", "good"}
    assert ("SN1", "J3") not in places(made)
    # An engineer said that this one is good: an operator's answer does not count against it.
    assert places(made)["SN2", "J1"]["class"] == "normal"
    label(pool, {("SN1", "J3"): "bridge"})
    settled = build_dataset([pool], tmp_path / "settled", records=[records])
    assert places(settled)["SN1", "J3"]["state"] == "bridge"


def test_two_kinds_of_defects_are_a_conflict_only_where_kinds_are_classes(tmp_path, pool):
    fill(pool, UNITS, ("J1", "J2", "J3"))
    for who, kind in (("otto", "cold"), ("erna", "bridge")):
        label(pool, {("SN1", "J3"): kind}, who=who, role=Role.OPERATOR)
    made = build_dataset([pool], tmp_path / "joints")
    assert places(made)["SN1", "J3"]["class"] == "defective"
    kinds = build_dataset([pool], tmp_path / "kinds", defect_class="", exclude=["cold"])
    assert [one.why for one in kinds.card.left_out] == ["conflict"]


def test_verified_calls_join_the_labels(tmp_path, pool):
    fill(pool, UNITS, ("J1", "J2", "J3"))
    answers = {
        ("SN1", "J3"): (Answer.CONFIRMED, "cold"),
        ("SN2", "J3"): (Answer.REJECTED, ""),
        ("SN3", "J3"): (Answer.ACCEPTED, "excess"),
        ("SN4", "J3"): (Answer.ESCALATED, ""),
        ("LOST", "J3"): (Answer.CONFIRMED, "bridge"),
    }
    records = verify(tmp_path / "inspections.db", answers)
    made = build_dataset([pool], tmp_path / "joints", records=[records])
    assert [places(made)[unit, "J3"]["state"] for unit in ("SN1", "SN2", "SN3")] == [
        "cold",
        "normal",
        "excess",
    ]
    assert {(one.joint, one.why, one.defect) for one in made.card.left_out} == {
        ("amplifier SN4 J3", "escalated", False),
        ("run-LOST J3", "no picture", True),
    }
    with pytest.raises(
        GateError, match=r"1 joint that somebody called a defect .*run-LOST J3 \(no picture\)"
    ):
        build_dataset([pool], tmp_path / "strict", records=[records], strict=True)
    assert not (tmp_path / "strict").exists()


def test_an_answer_that_was_taken_back_does_not_count(tmp_path, pool):
    with DecisionLog(pool / "pool.db") as log:
        first = crop_id(pool, "SN1", "J1")
        (number,) = log.append([Decision("anna", Role.ENGINEER, str(first), "", Answer.LABELLED, "cold")])
        log.undo(Undo(number, "anna", Role.ENGINEER))
    assert places(build_dataset([pool], tmp_path / "joints"))["SN1", "J1"]["class"] == "normal"


def test_a_damaged_picture_is_listed(tmp_path, pool):
    with PoolReader(pool) as reader:
        reader.picture(reader.get(crop_id(pool, "SN1", "J2"))).write_bytes(b"torn")
    made = build_dataset([pool], tmp_path / "joints")
    assert [(one.joint, one.why) for one in made.card.left_out] == [("amplifier SN1 J2", "damaged picture")]


def test_a_joint_in_two_pools_is_one_joint(tmp_path, pool):
    other = fill(tmp_path / "other", UNITS[:3], kept_because=KeptBecause.CALLED)
    label(other, {("SN1", "J1"): "normal"}, who="berta")
    made = build_dataset([pool, other], tmp_path / "joints")
    assert len(rows_of(made)) == 2 * len(UNITS)
    assert places(made)["SN1", "J1"]["answers"] == "2"
    # One of the two pools has it by chance.
    assert places(made)["SN1", "J1"]["kept_because"] == "all"


def test_a_split_without_a_class_is_refused_with_a_seed_that_does(tmp_path):
    pool = fill(tmp_path / "pool", UNITS[:6])
    label(pool, dict.fromkeys(itertools.product(UNITS[:6], ("J1", "J2")), "normal"))
    label(pool, {(unit, "J2"): "bridge" for unit in UNITS[:4]})
    seed = next(
        number
        for number in range(100)
        if (build := try_build(pool, tmp_path / f"d{number}", seed=number)) and "choose seed" in build.hint
    )
    hint = try_build(pool, tmp_path / "again", seed=seed).hint
    good = int(hint.split("choose seed ")[1].split(",")[0])
    assert build_dataset([pool], tmp_path / "good", seed=good).card.joints["test"]["defective"] > 0


def try_build(pool, output, **options):
    try:
        build_dataset([pool], output, **options)
    except DataError as error:
        return error
    return None


def test_nothing_is_overwritten_and_nothing_made_of_no_answers(tmp_path, pool):
    made = build_dataset([pool], tmp_path / "joints")
    with pytest.raises(OutputError, match="never overwritten"):
        build_dataset([pool], made)
    with pytest.raises(DataError, match="0 joints answered"):
        build_dataset([fill(tmp_path / "unlabelled")], tmp_path / "none")
    with pytest.raises(UsageError, match="leave some for training"):
        build_dataset([pool], tmp_path / "none", validation=0.6, test=0.5)


def test_the_version_depends_on_the_answers_alone(tmp_path, pool):
    one = sji.build_dataset([pool], tmp_path / "one")
    two = sji.build_dataset([pool], tmp_path / "two")
    assert one.card.version == two.card.version
    assert not diff_datasets(one.folder, two.folder)
    label(pool, {("SN1", "J1"): "cold"})
    three = build_dataset([pool], tmp_path / "three")
    found = sji.diff_datasets(one, three)
    (change,) = found.relabelled
    assert found
    assert (change.before.state, change.after.state) == ("normal", "cold")


def test_a_unit_that_was_renamed_does_not_move_joints_of_an_earlier_dataset(tmp_path, pool):
    before = build_dataset([pool], tmp_path / "one")
    renamed = tmp_path / "renamed"
    with PoolWriter(renamed) as writer, PoolReader(pool) as reader:
        for crop in reader.every():
            new = origin(crop.origin.unit)
            writer.add(
                origin("OTHER", frame_sha256=new.frame_sha256),
                [new_crop(crop.refdes, seed=int(crop.id))],
            )
    with DecisionLog(renamed / "pool.db") as log:
        log.append(
            [
                Decision(
                    "anna",
                    Role.ENGINEER,
                    str(number),
                    "",
                    Answer.LABELLED,
                    "bridge" if number % 2 else "normal",
                )
                for number in range(1, 2 * len(UNITS) + 1)
            ]
        )
    with pytest.raises(DataError, match=r"would change split|would have no joint"):
        build_dataset([renamed], tmp_path / "two", like=before.folder)


def test_records_of_a_board_as_a_whole_say_nothing_of_a_joint(tmp_path, pool):
    database = tmp_path / "inspections.db"
    with SqliteSink(database) as sink:
        sink.write(record())
    with DecisionLog(database) as log:
        log.append([Decision("otto", Role.OPERATOR, "run-SN1", "", Answer.REJECTED)])
    assert not build_dataset([pool], tmp_path / "joints", records=[database]).card.left_out


def test_the_suggested_seed_is_the_most_even_one():
    groups = [f"board{number}" for number in range(10)]
    members = [(group, label) for group in groups for label in ["defective"] + ["normal"] * 9]
    rules = [SplitRule(seed, 0.2, 0.2) for seed in range(100)]
    lacking = next(rule for rule in rules if {rule.of(group) for group in groups} != set(SPLITS))
    with pytest.raises(DataError) as refused:
        check_splits(lacking, members)
    seed = int(refused.value.hint.split("choose seed ")[1].split(",")[0])
    counts = [[rules[seed].of(group) for group in groups].count(split) for split in SPLITS]
    assert counts == [6, 2, 2]


@pytest.mark.parametrize("name", ["../../outside", "a/b", "a\\b", ".hidden", "two\nlines", "x" * 200])
def test_a_label_that_is_no_folder_name_writes_nothing_anywhere(tmp_path, pool, name):
    label(pool, {("SN1", "J1"): name})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="cannot be the folder of a class"):
        build_dataset([pool], tmp_path / "joints", defect_class="")
    assert sorted(tmp_path.rglob("*")) == before
    assert build_dataset([pool], tmp_path / "joints", defect_class="", exclude=[name]).card.classes == (
        "normal",
        "bridge",
    )


def test_a_joint_of_one_frame_under_two_boards_is_refused(tmp_path, pool):
    """As when a recipe was copied under another name: the copies could land in training and in the test."""
    with PoolWriter(tmp_path / "again") as writer:
        writer.add(origin("SN3", board="amplifier-2"), [new_crop("J1", seed=3000)])
    label(tmp_path / "again", {("SN3", "J1"): "normal"})
    with pytest.raises(DataError, match="J1 of the same frame is in the pools twice") as refusal:
        build_dataset([pool, tmp_path / "again"], tmp_path / "joints")
    assert "amplifier SN3 J1" in refusal.value.message
    assert "amplifier-2 SN3 J1" in refusal.value.message
