"""The limits of a recipe: how far a frame may lie from the golden image, and what it must show."""

from typing import Literal

from pydantic import Field

from sji_edge.core.frozen import FrozenModel


class AlignmentLimits(FrozenModel):
    """The transform to fit and its limits; the shift is that of the fiducials' centre.

    ``max_lost`` is how many of three or four fiducials may be covered. By default a lost one is an ERROR, because
    nothing is left to check the others.
    """

    model: Literal["similarity", "affine"] = "similarity"
    max_residual_px: float = Field(default=1.0, gt=0.0)
    max_shift_px: float = Field(default=60.0, ge=0.0)
    max_rotation_deg: float = Field(default=3.0, ge=0.0, le=180.0)
    max_scale_change: float = Field(default=0.02, ge=0.0, lt=1.0)
    max_lost: int = Field(default=0, ge=0, le=1)


class FrameLimits(FrozenModel):
    """What a frame must show before it is inspected.

    ``max_saturated_share`` bounds the share of white pixels beyond golden's own; ``min_contrast`` and
    ``min_sharpness`` are the shares of golden's contrast and fine detail that a frame must keep (0 switches the check
    off). With the lamp at half its light, escapes rose from 6 to 10 of 59 defects; at 80 %, to 7.
    ``max_unlike_share`` bounds the share of joints that are unlike their place on the enrolled boards.
    """

    max_saturated_share: float = Field(default=0.2, gt=0.0, le=1.0)
    min_contrast: float = Field(default=0.75, ge=0.0, lt=1.0)
    min_sharpness: float = Field(default=0.35, ge=0.0, lt=1.0)
    max_unlike_share: float = Field(default=0.25, gt=0.0, le=1.0)


class Refinement(FrozenModel):
    """How far each joint is searched around the place where the fiducials put it."""

    max_shift_px: float = Field(default=3.0, gt=0.0, le=10.0)
