"""Make the golden crops: views of validation joints, judged by PyTorch."""

from sji_edge.data.views import Views
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.guard import GuardedClassifier
from sji_edge.models.predict import answers_of, logits_of
from sji_edge.runtime.bundle.golden import Golden


def golden_of(model: JointClassifier, views: Views, guarded: GuardedClassifier | None = None) -> Golden:
    """Judge views of validation joints with PyTorch.

    Args:
        model: the trained model.
        views: of the validation joints, as ``validation_views`` makes them.
        guarded: the model with its guard, if it has one.
    """
    if guarded is None:
        return Golden(views.crops, logits_of(model, views.crops), views.labels)
    logits, novelty = answers_of(guarded, views.crops)
    return Golden(views.crops, logits, views.labels, novelty)
