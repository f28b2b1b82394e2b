import numpy as np
import pytest
from scipy import stats

from sji_edge.core.errors import UsageError
from sji_edge.data.synthetic.joint import PADS, STATES, render_joint
from sji_edge.data.synthetic.light import Look
from sji_edge.data.synthetic.solder import BOX_PX, DEFECT_WEIGHTS, PAD_PX, PAD_WEIGHTS

QUIET = Look(
    light_x=0.05,
    light_y=-0.05,
    light_half_x=0.2,
    light_half_y=0.2,
    mask_level=30.0,
    pad_level=200.0,
    tarnish=0.05,
    solder_level=8.0,
    gloss_level=240.0,
    gain=1.0,
    blur_px=0.6,
    read_noise=0.5,
    shot_noise=0.0,
)
"""One light and one batch, so that only the joint differs."""


def size_px(pad: str) -> tuple[int, int]:
    width, height = BOX_PX[pad]
    return height, width


def mean_image(state: str, pad: str, count: int = 24) -> np.ndarray:
    images = [
        render_joint(np.random.default_rng([7, k]), state, pad, size_px(pad), QUIET) for k in range(count)
    ]
    return np.mean(np.stack(images).astype(np.float64), axis=0)


def ring_mean(image: np.ndarray, pad: str, inner: float, outer: float) -> float:
    """Mean over the pixels between two ellipses, in half pad sizes."""
    rows, columns = np.indices(image.shape)
    x = (columns - (image.shape[1] - 1) / 2) / (PAD_PX[pad][0] / 2)
    y = (rows - (image.shape[0] - 1) / 2) / (PAD_PX[pad][1] / 2)
    radius = np.hypot(x, y)
    return float(image[(radius > inner) & (radius < outer)].mean())


@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize("state", STATES)
def test_a_joint_is_a_repeatable_grey_image_of_the_requested_size(state: str, pad: str) -> None:
    first, again, other = (
        render_joint(np.random.default_rng(seed), state, pad, (71, 93)) for seed in (5, 5, 6)
    )
    assert first.shape == (71, 93)
    assert first.dtype == np.uint8
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize("state", ["insufficient", "missing"])
def test_missing_solder_bares_the_bright_pad(state: str, pad: str) -> None:
    bare, covered = (ring_mean(mean_image(one, pad), pad, 0.75, 0.92) for one in (state, "normal"))
    assert bare > covered + 40


@pytest.mark.parametrize("pad", ["circle", "rect"])
def test_excess_solder_darkens_the_board_around_the_pad(pad: str) -> None:
    bulging, normal = (ring_mean(mean_image(one, pad), pad, 1.02, 1.12) for one in ("excess", "normal"))
    assert bulging < normal - 4


@pytest.mark.parametrize("pad", ["circle", "rect"])
def test_a_blowhole_brightens_the_dark_flank(pad: str) -> None:
    void, normal = (ring_mean(mean_image(one, pad, 60), pad, 0.45, 0.7) for one in ("void", "normal"))
    assert void > normal + 4


def test_a_bridge_changes_the_gap_between_pads_and_hardly_the_pad() -> None:
    gap, flank = [], []
    for k in range(40):
        bridge, normal = (
            render_joint(np.random.default_rng([1, k]), state, "circle", (80, 80), QUIET).astype(float)
            for state in ("bridge", "normal")
        )
        rows, columns = np.indices(bridge.shape)
        radius = np.hypot(rows - 39.5, columns - 39.5)
        gap.append(np.abs(bridge - normal)[radius > 31].mean())
        flank.append(
            bridge[(radius > 12) & (radius < 24)].mean() - normal[(radius > 12) & (radius < 24)].mean()
        )
    assert np.median(gap) > 4
    assert abs(np.median(flank)) < 6


def test_mean_brightness_alone_does_not_tell_good_from_defective() -> None:
    rng = np.random.default_rng(11)
    pads = rng.choice(list(PAD_WEIGHTS), 300, p=list(PAD_WEIGHTS.values()))
    bad_states = rng.choice(list(DEFECT_WEIGHTS), 300, p=list(DEFECT_WEIGHTS.values()))
    good = [render_joint(rng, "normal", pad, size_px(pad)).mean() for pad in pads]
    bad = [
        render_joint(rng, state, pad, size_px(pad)).mean()
        for state, pad in zip(bad_states, pads, strict=True)
    ]
    auc = stats.mannwhitneyu(bad, good).statistic / (len(bad) * len(good))
    assert 0.5 < auc < 0.9


@pytest.mark.parametrize(
    ("state", "pad", "size", "named"),
    [
        ("bridged", "circle", (80, 80), "bridge"),
        ("normal", "square", (80, 80), "circle"),
        ("normal", "rect", (8, 80), "80x8"),
    ],
)
def test_what_cannot_be_rendered_is_refused_by_name(
    state: str, pad: str, size: tuple[int, int], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        render_joint(np.random.default_rng(0), state, pad, size)
