from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import average_precision_score, f1_score
from support.study_parts import trial_of

from sji_edge.evaluation.judged import FIGURES
from sji_edge.studies.compare import compare, judge_trial
from sji_edge.studies.dataset import HeldOut
from sji_edge.studies.figures import PICTURES, draw
from sji_edge.studies.run import Cell
from sji_edge.studies.settings import Budget
from sji_edge.studies.table import as_json, markdown

SEEDS = 3


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    labels = {"validation": (rng.random(60) < 0.3).astype(int), "test": (rng.random(80) < 0.3).astype(int)}
    return HeldOut(labels, np.array([f"g{i // 4}" for i in range(80)]), grouped=True, good_index=0)


@pytest.fixture
def cells(data, spec):
    """Three methods; the higher the pull, the better a method knows the classes."""

    def logits(rng, labels, pull):
        return pull * np.eye(2)[labels] + rng.normal(0, 1.0, (len(labels), 2))

    made = []
    for name, pull in (("ce", 1.0), ("focal", 4.0), ("poly1", 3.9)):
        rng = np.random.default_rng(int(10 * pull))
        trials = tuple(
            trial_of(
                spec(method=name, seed=seed),
                logits(rng, data.labels["validation"], pull),
                logits(rng, data.labels["test"], pull),
            )
            for seed in range(SEEDS)
        )
        made.append(Cell(name, "efficientnet_lite0", trials))
    return made


def test_figures_are_those_of_scikit_learn_on_the_trials_logits(cells, data):
    one = compare(cells, data, 100)[0]
    for seed, trial in enumerate(cells[0].trials):
        p = softmax(trial.logits_of("test"), axis=1)
        truth = data.labels["test"]
        assert one.values["average_precision"][seed] == pytest.approx(average_precision_score(truth, p[:, 1]))
        assert one.values["accuracy"][seed] == pytest.approx((p.argmax(axis=1) == truth).mean())
        assert one.values["macro_f1"][seed] == pytest.approx(
            f1_score(truth, p.argmax(axis=1), average="macro")
        )
        limit = one.judged[seed].limit
        assert one.values["f1_defect"][seed] == pytest.approx(f1_score(truth, p[:, 1] >= limit))


def test_temperature_and_limit_come_from_validation_alone(cells, data):
    trial = cells[0].trials[0]
    other = trial.model_copy(update={"logits": trial.logits | {"test": [[9.0, -9.0]] * 80}})
    assert judge_trial(other, data).limit == judge_trial(trial, data).limit
    assert judge_trial(other, data).temperature == judge_trial(trial, data).temperature


def test_the_reference_is_the_best_on_validation_and_the_worse_method_differs(cells, data):
    ce, focal, poly1 = compare(cells, data, 400)
    assert [one.is_reference for one in (ce, focal, poly1)].count(True) == 1
    assert not ce.is_reference
    best = min((focal, poly1), key=lambda one: one.validation)
    assert best.is_reference
    assert ce.p_values["average_precision"] < 0.05
    rival = poly1 if best is focal else focal
    assert rival.p_values["average_precision"] > 0.05
    for one in (ce, focal, poly1):
        for name in FIGURES:
            low, high = one.intervals[name]
            assert low <= np.mean(one.values[name]) <= high or name.startswith(("ece", "false"))


def test_a_method_compared_with_itself_has_no_difference(cells, data):
    twin = Cell("focal-again", cells[1].backbone, cells[1].trials)
    for one in compare([cells[1], twin], data, 100):
        assert one.is_reference or set(one.p_values.values()) == {1.0}


def test_the_interval_is_wider_when_joints_of_a_group_are_alike(cells, data):
    """Groups whose joints are all right or all wrong hold less evidence than as many joints."""
    trial = cells[0].trials[0]
    wrong = (np.arange(80) // 4) % 5 == 0
    answer = np.where(wrong, 1 - data.labels["test"], data.labels["test"])
    alike = trial.model_copy(update={"logits": trial.logits | {"test": (5.0 * np.eye(2)[answer]).tolist()}})
    cell = Cell("ce", "b", (alike,))
    alone = HeldOut(data.labels, np.array([str(i) for i in range(80)]), grouped=False, good_index=0)
    widths = [np.ptp(compare([cell], known, 400)[0].intervals["accuracy"]).item() for known in (data, alone)]
    assert widths[0] > 1.5 * widths[1]


def test_table_json_and_pictures_show_every_cell(cells, data, settings, tmp_path):
    compared = compare(cells, data, 100)
    told = markdown(compared, data, settings(methods=("ce", "focal", "poly1"), seeds=SEEDS))
    rows = [line for line in told.splitlines() if line.startswith(("| ce", "| focal", "| poly1", "| **"))]
    assert len(rows) == 6
    mean = np.mean(compared[0].values["accuracy"])
    assert f"| ce | gamma 2 | {mean:.3f} ±" in told
    assert "the 20 groups of the test split" in told
    assert told.count("**focal**") + told.count("**poly1**") == 2
    record = as_json(compared, data, settings())
    assert [cell["method"] for cell in record["cells"]] == ["ce", "focal", "poly1"]
    assert len(record["cells"][0]["figures"]["aurc"]["seeds"]) == SEEDS
    draw(compared, tmp_path)
    assert all((tmp_path / name).stat().st_size > 5000 for name in PICTURES)


def test_a_guarded_study_tells_what_share_of_the_unknowns_each_method_passes(cells, data, settings):
    shares = [{"wire": (0.9, 0.5), "noise": (0.7, 0.0)}, {"wire": (1.0, 0.3), "noise": (0.8, 0.2)}, None]
    guarded = [
        trial.model_copy(update={"unknown": unknown})
        for trial, unknown in zip(cells[1].trials, shares, strict=True)
    ]
    compared = compare([cells[0], replace(cells[1], trials=tuple(guarded))], data, 100)
    whole = settings(budget=Budget(), guard=True, methods=("ce", "focal"), seeds=SEEDS)
    lines = markdown(compared, data, whole).splitlines()
    # Means over kinds: 0.25 and 0.25 with the guard, 0.8 and 0.9 by the score alone.
    assert f"| focal | 0.250 ± 0.000 | 0.850 ± {np.std([0.8, 0.9], ddof=1):.3f} |" in lines
    assert "| ce | – | – |" in lines
    assert any("at each model's own limits" in line for line in lines)
    told = as_json(compared, data, whole)["cells"][1]["unknown_given_pass"]
    assert told == shares


def test_a_study_without_a_guard_has_no_column_for_it(cells, data, settings):
    assert "nknown" not in markdown(compare(cells, data, 100), data, settings(seeds=SEEDS))
