import json

import pytest
from support.tiny_bundle import card

from sji_edge.core.card import DEFAULT_GATES, ModelCard, PreprocessSpec
from sji_edge.core.errors import UsageError


def text_with(**changes: object) -> str:
    return json.dumps(json.loads(card().model_dump_json()) | changes)


def test_a_card_survives_json():
    kept = card(metrics={"test": {"f1": 0.5, "escape_rate": None}}, versions={"torch": "2"})
    assert ModelCard.parse(kept.model_dump_json(), "here") == kept
    assert kept.gates == DEFAULT_GATES


def test_the_good_class_may_be_any_column():
    other = card(classes=("a", "b", "c"), good_class="c")
    assert other.good_index == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{not json", r"model\.onnx is not a model card: its text line 1"),
        ("[]", r"model\.onnx is not a valid model card"),
        (text_with(classes=["one"]), "classes: .*at least 2"),
        (text_with(classes=["a", "b"]), "the good class must be one of"),
        (text_with(classes=["normal", "x", "x"]), "duplicate class names"),
        (text_with(thresholds={"lower": 0.9, "upper": 0.1}), "thresholds: .*above the upper"),
        (text_with(preprocess={"height": 84, "width": 84, "channels": 2}), "preprocess.channels: "),
        (text_with(preprocess={"height": 8, "width": 84, "channels": 1}), "preprocess.height: "),
        (text_with(surprise=1), "surprise: unknown entry"),
        (text_with(schema_version=2), "schema_version: "),
    ],
)
def test_a_bad_card_names_its_source_and_the_field(text, said):
    with pytest.raises(UsageError, match=said):
        ModelCard.parse(text, "model.onnx")


def test_every_wrong_field_is_named_at_once():
    with pytest.raises(UsageError, match=r"seed: .*; dataset_sha256: "):
        ModelCard.parse(text_with(seed="x", dataset_sha256=1), "card.json")


def test_the_shape_is_height_width_channels():
    assert PreprocessSpec(height=32, width=48, channels=3).shape == (32, 48, 3)
