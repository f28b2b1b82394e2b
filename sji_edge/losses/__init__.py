"""Floor 1: one file per loss or regularizer; each name is one line here."""

from sji_edge.core.registry import Registry

LOSSES = Registry(
    "loss",
    {
        "ce": "sji_edge.losses.cross_entropy:CrossEntropy",
        "label-smoothing": "sji_edge.losses.label_smoothing:LabelSmoothing",
        "confidence-penalty": "sji_edge.losses.confidence_penalty:ConfidencePenalty",
        "alpha-js": "sji_edge.losses.alpha_js:AlphaJSLoss",
        "focal": "sji_edge.losses.focal:Focal",
        "margin-label-smoothing": "sji_edge.losses.margin_label_smoothing:MarginLabelSmoothing",
        "poly1": "sji_edge.losses.poly1:Poly1",
        "logit-norm": "sji_edge.losses.logit_norm:LogitNorm",
        "mutual-channel": "sji_edge.losses.mutual_channel:MutualChannel",
        "pairwise-confusion": "sji_edge.losses.pairwise_confusion:PairwiseConfusion",
    },
    group="sji_edge.losses",
)
