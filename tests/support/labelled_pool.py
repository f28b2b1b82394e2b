"""Pools whose crops people labelled, and records whose calls they verified."""

from support.pool_material import new_crop, origin

from sji_edge.core.decisions import Answer, Decision, Role
from sji_edge.decisions.log import DecisionLog
from sji_edge.pool.read import PoolReader
from sji_edge.pool.write import PoolWriter
from sji_edge.records.write.sqlite import SqliteSink

UNITS = [f"SN{number}" for number in range(24)]


def fill(folder, units=UNITS, refdes=("J1", "J2"), records=True, **changes):
    """A pool with a crop of each joint of each unit; the board's record is the unit's name."""
    with PoolWriter(folder) as pool:
        for seed, unit in enumerate(units):
            crops = [new_crop(name, seed=1000 * seed + place, **changes) for place, name in enumerate(refdes)]
            pool.add(origin(unit), crops, record=f"run-{unit}" if records else "")
    return folder


def crop_id(pool, unit, refdes):
    with PoolReader(pool) as reader:
        return next(c.id for c in reader.every() if (c.origin.unit, c.refdes) == (unit, refdes))


def label(pool, answers, who="anna", role=Role.ENGINEER):
    """Label crops: category by (unit, refdes)."""
    with DecisionLog(pool / "pool.db") as log:
        return log.append(
            [
                Decision(who, role, str(crop_id(pool, *place)), "", Answer.LABELLED, category)
                for place, category in answers.items()
            ]
        )


def verify(database, answers, who="otto", role=Role.OPERATOR):
    """Answer calls of a line: (answer, category) by (unit, refdes)."""
    SqliteSink(database).close()
    with DecisionLog(database) as log:
        log.append(
            [
                Decision(who, role, f"run-{unit}", refdes, what, category)
                for (unit, refdes), (what, category) in answers.items()
            ]
        )
    return database


def labelled_pool(folder):
    """A pool of two joints of each unit: J1 is good, J2 has a bridge."""
    fill(folder)
    label(
        folder,
        {(unit, name): "bridge" if name == "J2" else "normal" for unit in UNITS for name in ("J1", "J2")},
    )
    return folder
