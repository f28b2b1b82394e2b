"""``packages.csv``: what is looked at of a package, in mm: one box around it, or one box a pin."""

import csv
import io
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sji_edge.core.findings import in_words
from sji_edge.core.registry import nearest
from sji_edge.recipe.joints import Finding

REQUIRED = ("package", "width", "height")
OPTIONAL = ("pin", "dx", "dy")


class PackageBox(BaseModel):
    """A box of a package that is not turned: its size, and its centre from the part's, y upwards.

    Width and height 0 say that nothing of the package is looked at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    package: str = Field(min_length=1)
    width: float = Field(ge=0.0, le=500.0)
    height: float = Field(ge=0.0, le=500.0)
    pin: str = ""
    dx: float = Field(default=0.0, ge=-500.0, le=500.0)
    dy: float = Field(default=0.0, ge=-500.0, le=500.0)

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.width == 0) != (self.height == 0):
            raise ValueError("width and height are both 0, or neither")
        return self

    @property
    def empty(self) -> bool:
        """Tell whether it says that nothing is looked at."""
        return self.width == 0


Packages = dict[str, tuple[PackageBox, ...]]
"""The boxes of each package by its name."""


def read_packages(data: bytes, name: str) -> tuple[Packages, list[Finding]]:
    """Parse ``packages.csv``.

    Args:
        data: the file's content, UTF-8 with or without a byte order mark.
        name: how findings call the file.

    Returns:
        The packages that are right, and what is wrong with the others, each with its line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return {}, [Finding(f"{name}: not UTF-8 text")]
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    try:
        header = [cell.strip() for cell in next(rows, [])]
        findings = _header_findings(header, name)
        if findings:
            return {}, findings
        return _parse_rows([(rows.line_num, row) for row in rows], header, name)
    except csv.Error as error:
        return {}, [Finding(f"{name} line {rows.line_num}: {error}")]


def _header_findings(header: list[str], name: str) -> list[Finding]:
    known = [*REQUIRED, *OPTIONAL]
    missing = [Finding(f"{name} line 1: no column {column!r}") for column in REQUIRED if column not in header]
    unknown = [column for column in header if column not in known]
    doubled = sorted({column for column in header if header.count(column) > 1})
    return [
        *missing,
        *(
            Finding(f"{name} line 1: unknown column {column!r}, {nearest(column, known)}")
            for column in unknown
        ),
        *(Finding(f"{name} line 1: column {column!r} stands twice") for column in doubled),
    ]


def _parse_rows(
    rows: list[tuple[int, list[str]]], header: list[str], name: str
) -> tuple[Packages, list[Finding]]:
    boxes: dict[str, list[PackageBox]] = {}
    findings: list[Finding] = []
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            findings.append(Finding(f"{name} line {line}: {len(row)} cells, {len(header)} were wanted"))
            continue
        cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
        box = _parse_box({key: cell for key, cell in cells.items() if cell or key not in OPTIONAL})
        if isinstance(box, list):
            findings += [Finding(f"{name} line {line}: {fault}") for fault in box]
            continue
        earlier = boxes.setdefault(box.package, [])
        clash = _clash(box, earlier)
        if clash:
            findings.append(Finding(f"{name} line {line}: {box.package}: {clash}"))
        else:
            earlier.append(box)
    if not boxes and not findings:
        findings.append(Finding(f"{name}: no package"))
    return {package: tuple(those) for package, those in boxes.items()}, findings


def _parse_box(cells: dict[str, str]) -> PackageBox | list[str]:
    try:
        return PackageBox.model_validate(cells)
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, found['loc'])) or 'package'}: {in_words(found['msg'])}"
            for found in error.errors()
        ]


def _clash(box: PackageBox, earlier: list[PackageBox]) -> str:
    """Say why a further box of a package cannot be; empty if it can."""
    if not earlier:
        return ""
    if box.empty or any(other.empty for other in earlier):
        return "one line says that nothing of it is looked at, another what"
    if not box.pin or any(not other.pin for other in earlier):
        return "several lines need a pin each"
    return f"pin {box.pin} stands twice" if any(other.pin == box.pin for other in earlier) else ""
