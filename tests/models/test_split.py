import pytest
import torch

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import UsageError
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.split import split_last_blocks

SPEC = PreprocessSpec(height=32, width=32, channels=1)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "resnet18+cbam"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_the_tail_behind_the_trunk_is_the_model(name, blocks):
    model = JointClassifier(name, 3, SPEC).eval()
    crops = torch.randint(0, 256, (2, 32, 32, 1), dtype=torch.uint8)
    trunk, tail = split_last_blocks(model, blocks)
    with torch.inference_mode():
        torch.testing.assert_close(tail(trunk(crops)), model(crops))
    own = {id(parameter) for parameter in model.parameters()}
    parts = [{id(parameter) for parameter in part.parameters()} for part in (trunk, tail)]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == own


def test_a_model_that_cannot_be_split_there_is_a_usage_error():
    with pytest.raises(UsageError, match="no last blocks of mnasnet0_5") as caught:
        split_last_blocks(JointClassifier("mnasnet0_5", 2, SPEC), 1)
    assert "the preset full" in caught.value.hint
    with pytest.raises(UsageError, match="resnet18 has 8 blocks; from 1 to 7"):
        split_last_blocks(JointClassifier("resnet18", 2, SPEC), 8)
