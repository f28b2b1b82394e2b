"""A folder dataset of drawn joints: small, real image files, easy to tell apart."""

from pathlib import Path

import cv2
import numpy as np

from sji_edge.core.card import LossCard

ALPHA_JS = LossCard(name="alpha-js", settings={"alpha": 0.1, "beta": 0.3})

COUNTS = {"train": {"normal": 16, "defective": 8}, "validation": {"normal": 8, "defective": 4}}


def draw_joint(good: bool, rng: np.random.Generator, side: int = 40) -> np.ndarray:
    """A bright cone on a grey pad; a defective one is a dull flat disc."""
    image = np.full((side, side), 90.0)
    rows, columns = np.mgrid[:side, :side]
    distance = np.hypot(rows - side / 2 + rng.normal(), columns - side / 2 + rng.normal()) / (side * 0.4)
    image += (140 * np.clip(1 - distance, 0, 1)) if good else (-50.0 * (distance < 0.8))
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def write_dataset(
    root: Path, counts: dict[str, dict[str, int]] | None = None, *, good: str = "normal", colour: bool = False
) -> Path:
    """Write ``ROOT/SPLIT/CLASS/NNN.png``."""
    rng = np.random.default_rng(0)
    for split, classes in (COUNTS if counts is None else counts).items():
        for name, number in classes.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(number):
                image = draw_joint(name == good, rng)
                if colour:
                    image = cv2.applyColorMap(image, cv2.COLORMAP_JET)
                cv2.imwrite(str(folder / f"{index:03d}.png"), image)
    return root
