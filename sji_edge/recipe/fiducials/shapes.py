"""The shapes of a fiducial: a disc, a cross, or a patch of the golden image."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from sji_edge.core.frozen import FrozenModel


class _Placed(FrozenModel):
    """``x`` and ``y`` are the centre in recipe pixels.

    ``search_px`` is how far from its place the centre is searched, along x and along y.
    """

    x: float
    y: float
    search_px: float = Field(default=40.0, gt=0.0, le=1000.0)


class Circle(_Placed):
    """A disc, bright on dark or dark on bright."""

    shape: Literal["circle"] = "circle"
    radius: float = Field(ge=3.0, le=500.0)
    bright: bool = True

    @property
    def half_px(self) -> tuple[float, float]:
        """Half its width and height."""
        return self.radius, self.radius


class Cross(_Placed):
    """A plus sign: ``size`` from tip to tip, ``thickness`` across a bar, in pixels."""

    shape: Literal["cross"]
    size: float = Field(ge=8.0, le=400.0)
    thickness: float = Field(ge=2.0, le=200.0)
    bright: bool = True

    @property
    def half_px(self) -> tuple[float, float]:
        """Half its width and height."""
        return self.size / 2, self.size / 2


class Template(_Placed):
    """A patch of ``golden.png`` around its place, ``width`` by ``height`` pixels."""

    shape: Literal["template"]
    width: int = Field(ge=12, le=400)
    height: int = Field(ge=12, le=400)

    @property
    def half_px(self) -> tuple[float, float]:
        """Half its width and height."""
        return self.width / 2, self.height / 2


def _shape_of(value: Any) -> Any:
    return value.get("shape", "circle") if isinstance(value, dict) else getattr(value, "shape", None)


SHAPES = ("circle", "cross", "template")
Fiducial = Annotated[
    Annotated[Circle, Tag("circle")] | Annotated[Cross, Tag("cross")] | Annotated[Template, Tag("template")],
    Discriminator(_shape_of),
]
"""Any of them; ``shape`` selects which, a circle by default."""
