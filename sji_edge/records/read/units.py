"""Reads what is on record by unit: everything about one serial number, and the yield of each product."""

from dataclasses import dataclass
from typing import Any

from sji_edge.records.read.history import Filter, History

UNITS = "units"
OLD_UNITS = "(SELECT id AS board_id, 0 AS position, '' AS unit, '' AS serial, verdict, cause, 0 AS retest FROM boards)"
"""Stands for the table in a schema that has none: each board is one unit."""


@dataclass(frozen=True, slots=True)
class ProductYield:
    """How many units of a product passed, and how many at their first test.

    A test is a board on record with a verdict other than ERROR; boards without a serial number are units of their own.
    ``first_pass_yield`` is None without a test.

    Attributes:
        product: the recipe's name; empty where none is on record.
        units: units that were tested.
        first_pass: units whose first test was PASS.
        passed: units whose last test was PASS.
        retested: units with more than one test.
        errors: tests that ended in ERROR.
        skipped: units that were marked to be skipped.
        without_serial: units whose serial number is unknown, so that a second test of theirs counts as another unit.
    """

    product: str
    units: int
    first_pass: int
    passed: int
    retested: int
    errors: int
    skipped: int
    without_serial: int

    @property
    def first_pass_yield(self) -> float | None:
        """Share of the units whose first test was PASS."""
        return self.first_pass / self.units if self.units else None


class UnitHistory(History):
    """A database of records, opened for reading only, with its questions about units; see ``History``."""

    @property
    def _units(self) -> str:
        return UNITS if self._serials else OLD_UNITS

    def tests_of(self, serial: str) -> list[dict[str, Any]]:
        """Return each board on record that has a serial number, or of which a unit has it; the oldest first.

        Each row has the columns of ``boards`` and those of the unit: ``unit``, ``unit_serial``, ``unit_verdict``,
        ``unit_cause`` and ``unit_retest``. A board that has the number itself has a row for each of its units.
        """
        if not self._serials or not serial:
            return []
        return self._rows(
            "SELECT b.*, u.unit, u.serial AS unit_serial, u.verdict AS unit_verdict, u.cause AS unit_cause, "
            "u.retest AS unit_retest FROM boards b JOIN units u ON u.board_id = b.id "
            "WHERE b.serial = ? OR u.serial = ? ORDER BY b.id, u.position",
            [serial, serial],
        )

    def joints_of(self, board_id: int, unit: str) -> list[dict[str, Any]]:
        """Return the joints of a board, or of one unit of a panel, in the recipe's order."""
        prefix = f"{unit}/" if unit else ""
        return self._rows(
            "SELECT * FROM joints WHERE board_id = ? AND substr(refdes, 1, length(?)) = ? ORDER BY position",
            [board_id, prefix, prefix],
        )

    def picture_folders(self, run: str) -> dict[str, str]:
        """Return the folder of each kind of picture that a run kept."""
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'picture_folders'", []):
            return {}
        rows = self._rows("SELECT kind, folder FROM picture_folders WHERE run = ?", [run])
        return {row["kind"]: row["folder"] for row in rows}

    def yields(self, wanted: Filter) -> list[ProductYield]:
        """Return the yield of each product, by the units whose first test lies in the filter's time and run."""
        serial = "b.product" if self._serials else "''"
        tests = (
            f"SELECT b.id, b.board, b.utc, {serial} AS product, u.verdict, u.serial, "
            "CASE WHEN u.serial = '' THEN b.id || '.' || u.position ELSE 's' || u.serial END AS name "
            f"FROM {self._units} u JOIN boards b ON b.id = u.board_id"
        )
        within = "(? = '' OR utc >= ?) AND (? = '' OR utc < ?) AND substr(board, 1, length(?)) = ?"
        values = [wanted.since, wanted.since, wanted.until, wanted.until, wanted.run, wanted.run]
        rows = self._rows(
            f"WITH tests AS ({tests}), "
            "judged AS (SELECT * FROM tests WHERE verdict NOT IN ('ERROR', 'SKIPPED')), "
            "firsts AS (SELECT name, product, board, utc, serial, verdict AS first, min(id), count(*) AS times "
            "FROM judged GROUP BY product, name), "
            "lasts AS (SELECT name, product, verdict AS last, max(id) FROM judged GROUP BY product, name) "
            "SELECT f.product, count(*) AS units, sum(f.first = 'PASS') AS first_pass, "
            "sum(l.last = 'PASS') AS passed, sum(f.times > 1) AS retested, sum(f.serial = '') AS without_serial, "
            "0 AS errors, 0 AS skipped FROM firsts f JOIN lasts l USING (product, name) "
            f"WHERE {within} GROUP BY f.product "
            "UNION ALL SELECT product, 0, 0, 0, 0, 0, sum(verdict = 'ERROR'), sum(verdict = 'SKIPPED') FROM tests "
            f"WHERE {within} GROUP BY product",
            [*values, *values],
        )
        sums: dict[str, dict[str, int]] = {}
        for row in rows:
            product = sums.setdefault(row.pop("product"), dict.fromkeys(row, 0))
            for name, count in row.items():
                product[name] += count
        return [ProductYield(product, **counts) for product, counts in sorted(sums.items())]
