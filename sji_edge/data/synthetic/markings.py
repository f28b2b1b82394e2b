"""What tells synthetic boards apart: printed serial numbers, the units of a panel, and their skip marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sji_edge.core.errors import UsageError
from sji_edge.core.preprocess import Matrix
from sji_edge.data.synthetic.background import Floats, paint_disc
from sji_edge.data.synthetic.codes import MatrixKind, paint_symbol, symbol
from sji_edge.data.synthetic.layout import Site

CODE_PX, CODE_ROOM_PX = 96, 12
CODE_LEVELS = (45.0, 200.0)
"""Grey levels of a printed module and of the label."""
SKIP_PX, SKIP_RADIUS_PX, SKIP_LEVEL = 60, 26.0, 240.0
SERIAL_PATTERN = "SN[0-9]{4,}-[0-9]{6}(-U[0-9]+)?"

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Markings:
    """The markings of a board type.

    Attributes:
        units: names of a panel's units; none for a single board.
        unit_of: unit of each site, empty for a single board.
        kind: of the printed codes; None for none.
        codes: the place of each unit's code, or of the board's.
        skips: the place of each unit's skip mark.
    """

    units: tuple[str, ...] = ()
    unit_of: tuple[str, ...] = ()
    kind: MatrixKind | None = None
    codes: tuple[Place, ...] = ()
    skips: tuple[Place, ...] = ()

    def serials(self, serial: str) -> tuple[str, ...]:
        """Return what each code says on the board with this serial number."""
        return tuple(f"{serial}-{unit}" for unit in self.units) if self.units else (serial,)

    @property
    def settings(self) -> dict[str, Any]:
        """The part of ``board.json`` that describes them."""
        side = CODE_PX + 2 * CODE_ROOM_PX
        codes = [{"x": x, "y": y, "width": side, "height": side, "kinds": [self.kind]} for x, y in self.codes]
        found: dict[str, Any] = {}
        if codes:
            found["serial"] = {"pattern": SERIAL_PATTERN}
        if not self.units:
            return found | ({"code": codes[0]} if codes else {})
        marks = [{"x": x, "y": y, "width": SKIP_PX, "height": SKIP_PX} for x, y in self.skips]
        found["units"] = [
            {"name": name, "skip": mark} | ({"code": codes[place]} if codes else {})
            for place, (name, mark) in enumerate(zip(self.units, marks, strict=True))
        ]
        return found

    def paint(self, scene: Floats, transform: Matrix, serial: str, skipped: Sequence[bool]) -> None:
        """Paint the codes of a board and the marks of its units that are skipped, in place."""
        for place, text in zip(self.codes, self.serials(serial) if self.codes else (), strict=True):
            assert self.kind is not None
            modules = symbol(self.kind, text)
            turn = CODE_PX / len(modules) * transform[:, :2]
            middle = transform @ (*place, 1.0) - turn @ np.full(2, (len(modules) - 1) / 2)
            paint_symbol(scene, modules, np.column_stack([turn, middle]), *CODE_LEVELS)
        for place, marked in zip(self.skips, skipped, strict=True):
            if marked:
                at = transform @ (*place, 1.0)
                paint_disc(scene, at[0], at[1], SKIP_RADIUS_PX, SKIP_LEVEL)


def reserved_sites(code: MatrixKind | None, panel: tuple[int, int] | None) -> int:
    """Return how many sites the markings take: one for each code, and one for each skip mark."""
    if panel is None:
        return int(code is not None)
    return panel[0] * panel[1] * (1 + (code is not None))


def mark(
    sites: Sequence[Site], frame: tuple[int, int], code: MatrixKind | None, panel: tuple[int, int] | None
) -> tuple[tuple[Site, ...], Markings]:
    """Turn some sites into places of codes and skip marks; return the others, which stay joints.

    Raises:
        UsageError: a unit of the panel would have no joint.
    """
    if panel is None:
        *joints, last = sites if code is not None else (*sites, sites[0])
        return tuple(joints), Markings(kind=code, codes=((last.x, last.y),) if code is not None else ())
    columns, rows = panel
    by_unit: list[list[Site]] = [[] for _ in range(columns * rows)]
    for site in sites:
        by_unit[site.x * columns // frame[0] + columns * (site.y * rows // frame[1])].append(site)
    taken = 1 + (code is not None)
    if min(map(len, by_unit)) <= taken:
        raise UsageError(
            f"a panel of {columns}x{rows} units needs more joints: a unit would have none",
            hint="ask for more joints or fewer units",
        )
    names = tuple(f"U{number}" for number in range(1, columns * rows + 1))
    kept = [(name, site) for name, own in zip(names, by_unit, strict=True) for site in own[:-taken]]
    return tuple(site for _, site in kept), Markings(
        units=names,
        unit_of=tuple(name for name, _ in kept),
        kind=code,
        codes=tuple((own[-2].x, own[-2].y) for own in by_unit) if code is not None else (),
        skips=tuple((own[-1].x, own[-1].y) for own in by_unit),
    )
