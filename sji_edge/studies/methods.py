"""The methods that a study compares: a loss or a view, and the setting that controls its strength."""

from dataclasses import dataclass, field

from sji_edge.core.errors import UsageError
from sji_edge.core.registry import nearest
from sji_edge.training.settings import Views

Option = float | bool | str


@dataclass(frozen=True, slots=True)
class Span:
    """Range of a searched setting: its name, and a low, a usual and a high value, all > 0.

    These three are tried first; further tries lie between the outer two, on a logarithmic scale.
    """

    option: str
    low: float
    usual: float
    high: float

    @property
    def points(self) -> tuple[float, float, float]:
        """The three values, the usual one first."""
        return self.usual, self.low, self.high


LEARNING_RATE = "learning_rate"


@dataclass(frozen=True, slots=True)
class Method:
    """One way to train.

    Attributes:
        loss: name of a registered loss.
        options: fixed settings of the loss.
        strength: the setting that is searched first; a method without one searches the learning rate, with the same
            number of tries.
        second: a further setting, searched after the first three tries.
        views: second view of each joint; needs the whole network trained.
    """

    loss: str
    options: dict[str, Option] = field(default_factory=dict)
    strength: Span | None = None
    second: Span | None = None
    views: Views = "none"


def _alpha_js(alpha: float) -> Method:
    return Method("alpha-js", {"alpha": alpha}, Span("beta", 0.1, 0.3, 1.0))


METHODS = {
    "ce": Method("ce"),
    "label-smoothing": Method("label-smoothing", strength=Span("epsilon", 0.03, 0.1, 0.3)),
    "confidence-penalty": Method("confidence-penalty", strength=Span("beta", 0.1, 0.3, 1.0)),
    "alpha-js-0.1": _alpha_js(0.1),
    "alpha-js-0.5": _alpha_js(0.5),
    "alpha-js-0.9": _alpha_js(0.9),
    "alpha-js": Method(
        "alpha-js", strength=Span("beta", 0.03, 0.3, 1.0), second=Span("alpha", 0.05, 0.5, 0.95)
    ),
    "focal": Method("focal", strength=Span("gamma", 1.0, 2.0, 4.0)),
    "mbls": Method("margin-label-smoothing", {"weight": 0.1}, Span("margin", 2.0, 6.0, 10.0)),
    "poly1": Method("poly1", strength=Span("epsilon", 0.3, 1.0, 4.0)),
    "logit-norm": Method("logit-norm", strength=Span("temperature", 0.04, 0.1, 0.3)),
    "mutual-channel": Method("mutual-channel", {"diversity": 10.0}, strength=Span("mu", 0.0005, 0.005, 0.05)),
    "pairwise-confusion": Method("pairwise-confusion", strength=Span("weight", 0.1, 0.3, 1.0)),
    "attention-crop": Method("ce", views="attention-crop"),
    "jigsaw": Method("ce", views="jigsaw"),
}


def method(name: str) -> Method:
    """Return a method; raises ``UsageError`` for an unknown name, with the nearest one."""
    if name not in METHODS:
        raise UsageError(f"unknown method {name!r}", hint=nearest(name, [*METHODS]))
    return METHODS[name]
