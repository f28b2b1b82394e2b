import traceback

import numpy as np
import optuna
import pytest
from support.study_parts import trial_of

from sji_edge.core.errors import UsageError
from sji_edge.studies import search as module
from sji_edge.studies.methods import METHODS
from sji_edge.studies.search import search, spans_of
from sji_edge.training.trainer import TrainingDivergedError

LABELS = np.array([0] * 10 + [1] * 10)


class Trainer:
    """Logits whose quality falls with the distance of gamma from the best one; records the requested values."""

    def __init__(self, best: float, diverges: tuple[float, ...] = ()) -> None:
        self.asked: list[float] = []
        self._best, self._diverges = best, diverges

    def __call__(self, spec):
        gamma = spec.options["gamma"]
        self.asked.append(gamma)
        if gamma in self._diverges:
            raise TrainingDivergedError("diverged")
        noise = np.random.default_rng(0).normal(0, 0.2 + abs(np.log(gamma / self._best)), (20, 2))
        return trial_of(spec, 2.0 * np.eye(2)[LABELS] + noise, noise)


@pytest.mark.parametrize("best", [1.0, 2.0, 4.0])
def test_the_usual_the_low_and_the_high_value_are_tried_and_the_best_is_kept(settings, spec, best):
    trainer = Trainer(best)
    chosen = search(settings(tries=3), spec(), LABELS, trainer)
    assert trainer.asked == [2.0, 1.0, 4.0]
    assert chosen.options == {"gamma": best}
    assert chosen.learning_rate == 1e-3


def test_further_tries_are_optunas_within_the_range_and_a_search_goes_on_where_it_stopped(settings, spec):
    first = Trainer(3.0)
    search(settings(tries=4), spec(), LABELS, first)
    again = Trainer(3.0)
    search(settings(tries=6), spec(), LABELS, again)
    assert (len(first.asked), len(again.asked)) == (4, 2)
    assert all(1.0 <= gamma <= 4.0 for gamma in first.asked + again.asked)
    assert len(set(first.asked + again.asked)) == 6


def test_a_later_study_with_fewer_tries_uses_only_that_number(settings, spec):
    search(settings(tries=3), spec(), LABELS, Trainer(4.0))
    nothing = Trainer(4.0)
    assert search(settings(tries=1), spec(), LABELS, nothing).options == {"gamma": 2.0}
    assert nothing.asked == []


def test_a_try_that_a_killed_process_left_running_is_made_again(settings, spec):
    def killed(_spec):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(settings(tries=3), spec(), LABELS, killed)
    trainer = Trainer(2.0)
    assert search(settings(tries=3), spec(), LABELS, trainer).options == {"gamma": 2.0}
    assert sorted(trainer.asked) == [1.0, 2.0, 4.0]


def test_a_try_that_diverges_counts_and_all_of_them_are_an_error(settings, spec):
    trainer = Trainer(2.0, diverges=(2.0,))
    assert search(settings(tries=3), spec(), LABELS, trainer).options["gamma"] in (1.0, 4.0)
    assert len(trainer.asked) == 3
    hopeless = Trainer(2.0, diverges=(1.0, 2.0, 4.0))
    with pytest.raises(UsageError, match="every try of focal on efficientnet_lite0 diverged"):
        search(settings(tries=3), spec(seed=7), LABELS, hopeless)


def test_machines_share_one_storage_by_file_or_url(settings, spec, tmp_path):
    for storage in (str(tmp_path / "shared.journal"), f"sqlite:///{tmp_path / 'shared.db'}"):
        one = settings(tries=3, storage=storage, out=tmp_path / "one")
        search(one, spec(), LABELS, Trainer(2.0))
        other = Trainer(2.0)
        search(settings(tries=3, storage=storage, out=tmp_path / "other"), spec(), LABELS, other)
        assert other.asked == []
        assert len(optuna.get_all_study_names(module.open_storage(one))) == 1
    with pytest.raises(UsageError, match="cannot be used"):
        search(settings(storage="nosuch://host/db"), spec(), LABELS, Trainer(2.0))


def test_a_method_without_a_strength_searches_the_learning_rate(settings):
    assert [span.option for span in spans_of(settings(), METHODS["ce"])] == ["learning_rate"]
    assert [span.option for span in spans_of(settings(), METHODS["mbls"])] == ["margin"]
    both = spans_of(settings(search_learning_rate=True), METHODS["alpha-js"])
    assert [span.option for span in both] == ["beta", "alpha", "learning_rate"]


@pytest.mark.parametrize(
    "storage",
    [
        "nosuch://planner:s3cret@db.example/study",
        "postgresql://planner:s3cret@127.0.0.1:1/study?password=s3cret",
        "not a url://planner:s3cret@host",
    ],
)
def test_a_storage_that_cannot_be_used_is_named_without_its_password(settings, storage):
    with pytest.raises(UsageError, match=r"storage .* cannot be used") as caught:
        module.open_storage(settings(storage=storage))
    told = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in told
    assert "s3cret" not in repr(settings(storage=storage))
