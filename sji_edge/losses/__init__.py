"""Floor 1: one file per loss or regularizer; each name is one line here."""

from sji_edge.core.registry import Registry

LOSSES = Registry(
    "loss",
    {
        "ce": "sji_edge.losses.cross_entropy:CrossEntropy",
        "alpha-js": "sji_edge.losses.alpha_js:AlphaJSLoss",
    },
)
