"""The look of a synthetic surface: a coaxial area light, dark solder flanks, and the camera.

The light is a square field seen along the camera's axis. A mirror shows it where the surface's slope lies
within the field's extent: flat pads and pin ends are bright, the flanks of a fillet dark, and the image of
the light on a dome is a rectangle. This is how the real crops look, and why exposed copper is bright there.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image
from sji_edge.data.synthetic.surface import Surface

Floats = NDArray[np.float32]

WHITE = 255.0


@dataclass(frozen=True, slots=True)
class Look:
    """One session of the line: light, boards of one batch, and camera settings. Levels are in grey levels.

    Attributes:
        light_x: slope at which a mirror shows the middle of the light, along x.
        light_y: the same along y.
        light_half_x: half the slope's range that the light covers, along x.
        light_half_y: the same along y.
        mask_level: brightness of the solder mask.
        pad_level: brightness of bare copper; above 255 it saturates.
        tarnish: unevenness of the copper, as a share of its brightness.
        solder_level: brightness of a solder flank.
        gloss_level: brightness of the light's image on solder.
        gain: exposure factor.
        blur_px: sigma of the optical blur.
        read_noise: sigma of the sensor noise in the dark.
        shot_noise: variance of the sensor noise per grey level of signal.
    """

    light_x: float
    light_y: float
    light_half_x: float
    light_half_y: float
    mask_level: float
    pad_level: float
    tarnish: float
    solder_level: float
    gloss_level: float
    gain: float
    blur_px: float
    read_noise: float
    shot_noise: float


def draw_look(rng: np.random.Generator) -> Look:
    """Draw a session at random: exposure, copper, light and focus vary as they do between batches."""
    half_x, half_y = rng.uniform(0.16, 0.24, 2)
    return Look(
        light_x=float(rng.uniform(-0.6, 0.6) * half_x),
        light_y=float(rng.uniform(-0.6, 0.6) * half_y),
        light_half_x=float(half_x),
        light_half_y=float(half_y),
        mask_level=float(rng.uniform(22.0, 42.0)),
        pad_level=float(np.exp(rng.uniform(np.log(75.0), np.log(330.0)))),
        tarnish=float(rng.uniform(0.05, 0.3)),
        solder_level=float(rng.uniform(5.0, 14.0)),
        gloss_level=float(rng.uniform(170.0, 330.0)),
        gain=float(np.exp(rng.uniform(-0.35, 0.35))),
        blur_px=float(rng.uniform(0.5, 1.1)),
        read_noise=float(rng.uniform(0.6, 1.8)),
        shot_noise=float(rng.uniform(0.005, 0.03)),
    )


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], grain_px: float) -> Floats:
    """Return noise of about unit variance with blobs ``grain_px`` wide, float32 ``(h, w)``."""
    cells = tuple(int(np.ceil(side / grain_px)) + 2 for side in shape)
    coarse = rng.standard_normal(cells, dtype=np.float32)
    noise: Floats = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).astype(
        np.float32, copy=False
    )
    return noise


def shade(
    window: Floats,
    surface: Surface,
    look: Look,
    pin_brightness: float,
    grain_px: float,
    rng: np.random.Generator,
) -> None:
    """Paint a joint over the window, in place.

    Args:
        window: float32 ``(h, w)``, grey levels before exposure.
        surface: the joint's fields over the window.
        look: light and materials.
        pin_brightness: brightness of the lead's end, as a share of the solder's gloss.
        grain_px: height of the solder's surface roughness.
        rng: random generator for the texture.
    """
    shape = window.shape[0], window.shape[1]
    coarse, fine = smooth_noise(rng, shape, 9.0), smooth_noise(rng, shape, 3.5)
    window *= 1 - np.float32(0.45) * surface.clearance
    copper = np.float32(look.pad_level) * (1 + np.float32(look.tarnish) * (coarse - np.abs(fine) / 2))
    _blend(window, np.maximum(copper, np.float32(12.0)), surface.pad)
    height: Floats = (
        surface.height_px + np.float32(grain_px) * (coarse + fine * np.float32(1 / 3)) * surface.solder
    )
    gloss = np.float32(look.gloss_level) * _light_seen(height, look)
    flank = (
        np.float32(look.solder_level) * (1 + np.float32(0.35) * coarse) * (1 - np.float32(0.5) * surface.hole)
    )
    _blend(window, flank + gloss * (1 - surface.hole * np.float32(0.9)), surface.solder)
    _blend(window, np.broadcast_to(np.float32(look.solder_level / 3), shape), surface.pit)
    _blend(window, flank + gloss * np.float32(pin_brightness), surface.pin)


def _blend(window: Floats, level: Floats, share: Floats) -> None:
    window += (level - window) * share


def _light_seen(height: Floats, look: Look) -> Floats:
    """Return how much of the light the surface mirrors, 0 to 1; roughness softens the edges."""
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    off_x = ((slope_x - np.float32(look.light_x)) / np.float32(look.light_half_x)) ** 2
    off_y = ((slope_y - np.float32(look.light_y)) / np.float32(look.light_half_y)) ** 2
    seen: Floats = 1 / ((1 + off_x * off_x * off_x) * (1 + off_y * off_y * off_y))
    return seen


def expose(scene: Floats, look: Look, rng: np.random.Generator) -> Image:
    """Photograph a scene: optics, exposure, shot and read noise, 8 bits.

    Args:
        scene: float32 ``(h, w)``, grey levels before exposure.
        look: gain, blur and noise.
        rng: random generator for the noise.
    """
    # The sensor saturates after the optical blur, so bright copper bleeds a little, as on real cameras.
    seen: Floats = cv2.GaussianBlur(scene, (0, 0), look.blur_px, borderType=cv2.BORDER_REPLICATE).astype(
        np.float32, copy=False
    )
    seen *= np.float32(look.gain)
    noise = rng.standard_normal(scene.shape, dtype=np.float32)
    noise *= np.sqrt(np.maximum(seen, 0) * np.float32(look.shot_noise) + np.float32(look.read_noise**2))
    seen += noise
    np.rint(seen, out=seen)
    np.clip(seen, 0, WHITE, out=seen)
    return seen.astype(np.uint8)
