"""Chooses a model's limits on views of validation joints, and judges the held-out splits that they are measured on."""

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.verdict import defect_scores
from sji_edge.data.folder import FolderDataset
from sji_edge.data.views import Views, novelties_of, validation_views
from sji_edge.metrics.review_budget import ChosenLimits, choose_for
from sji_edge.metrics.summary import ScoredSplit
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.guard import GuardedClassifier
from sji_edge.models.predict import answers_of, logits_of
from sji_edge.runtime.bundle.golden import Golden


def views_of(dataset: FolderDataset, spec: PreprocessSpec, seed: int) -> Views:
    """Return the views of a dataset's validation joints; see ``validation_views``."""
    images = dataset.read("validation", colour=spec.channels == 3)
    return validation_views(images, dataset.labels("validation"), spec, seed)


def limits_within_budget(
    golden: Golden,
    views: Views,
    good_index: int,
    budget: float,
    seed: int,
    guarded: GuardedClassifier | None = None,
) -> ChosenLimits:
    """Choose limits on the golden crops and, with a guard, on novelties made of the good ones among them.

    Args:
        golden: PyTorch's answers for ``views``.
        views: of validation joints.
        good_index: the class without a defect.
        budget: share of the good views that may go to REVIEW.
        seed: of the novelties.
        guarded: the model with its guard, if it has one.
    """
    made = None
    if guarded is not None:
        made = EngineOutput(*answers_of(guarded, novelties_of(views, good_index, seed)))
    seen = EngineOutput(golden.logits, golden.novelty)
    return choose_for(seen, views.labels, good_index, budget, views=views.each, made=made)


def scored_splits(
    dataset: FolderDataset,
    model: JointClassifier,
    guarded: GuardedClassifier | None,
    spec: PreprocessSpec,
) -> dict[str, ScoredSplit]:
    """Judge the plain crops of every split that the model was not trained on, by name.

    Args:
        dataset: opened with the splits to judge, and perhaps the train split, which is left out.
        model: the trained model.
        guarded: the same with its guard, if it has one.
        spec: the model's crops.
    """
    good = dataset.classes.index(dataset.good_class)
    found = {}
    for split in dataset.splits:
        if split == "train":
            continue
        crops, is_defect = dataset.crops(split, spec), dataset.labels(split) != good
        logits, novelty = (logits_of(model, crops), None) if guarded is None else answers_of(guarded, crops)
        found[split] = ScoredSplit(defect_scores(logits, good), is_defect, novelty)
    return found
