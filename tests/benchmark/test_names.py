import pytest

from sji_edge.benchmark.names import short_names


@pytest.mark.parametrize(
    ("names", "short", "shared"),
    [
        (["net-openvino-int8", "net-openvino-fp32", "torch"], ["int8", "fp32", "torch"], "net-openvino"),
        (["net-openvino-int8", "torch"], ["net-openvino-int8", "torch"], ""),
        (["a-int8", "a-fp32"], ["a-int8", "a-fp32"], ""),
        (["line-one-int8", "line-one-int8-2"], ["int8", "int8-2"], "line-one"),
        (["resnet18-int8", "lite0-int8"], ["resnet18-int8", "lite0-int8"], ""),
        (["torch"], ["torch"], ""),
    ],
)
def test_what_long_names_share_is_taken_off(names: list[str], short: list[str], shared: str) -> None:
    found, taken = short_names(names)
    assert (list(found), list(found.values()), taken) == (names, short, shared)
    assert len(set(found.values())) == len(names)
    assert all(name in (short, f"{taken}-{short}") for name, short in found.items())
