import numpy as np
import pytest
from support.study_parts import trial_of

from sji_edge.core.errors import DataError
from sji_edge.studies.trials import read_trial, trial_path, write_trial

LOGITS = np.random.default_rng(0).normal(0, 5, (6, 2)).astype(np.float32)


def test_a_trial_comes_back_with_float32s_own_digits(tmp_path, spec):
    assert read_trial(tmp_path, spec()) is None
    trial = trial_of(spec(), LOGITS, -LOGITS)
    write_trial(tmp_path, trial)
    assert read_trial(tmp_path, spec()) == trial
    np.testing.assert_allclose(trial.logits_of("test"), -LOGITS, rtol=1e-6)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"options": {"gamma": 2.1}}, {"learning_rate": 2e-3}, {"dataset_sha256": "cd"}]
)
def test_whatever_changes_the_outcome_changes_the_file(tmp_path, spec, change):
    assert trial_path(tmp_path, spec(**change)) != trial_path(tmp_path, spec())


def test_a_damaged_or_foreign_file_is_refused_not_counted(tmp_path, spec):
    write_trial(tmp_path, trial_of(spec(), LOGITS, LOGITS))
    path = trial_path(tmp_path, spec())
    path.rename(trial_path(tmp_path, spec(seed=3)))
    with pytest.raises(DataError, match="another trial than its name says"):
        read_trial(tmp_path, spec(seed=3))
    path.write_text('{"spec": 3')
    with pytest.raises(DataError, match="is not a valid trial") as caught:
        read_trial(tmp_path, spec())
    assert "remove it" in caught.value.hint
    for odd in ("[" * 100_000, "\udcff", '{"learning_rate": NaN}'):
        path.write_text(odd, errors="surrogateescape")
        with pytest.raises(DataError, match="is not a valid trial"):
            read_trial(tmp_path, spec())
