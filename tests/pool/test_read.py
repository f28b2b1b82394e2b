from dataclasses import replace

import numpy as np
import pytest
from support.pool_material import ENGINE, OTHER, judged, new_crop, origin

from sji_edge.core.errors import OutputError, UsageError
from sji_edge.pool.read import PoolFilter, PoolReader
from sji_edge.pool.schema import KeptBecause
from sji_edge.pool.write import PoolWriter

SCORES = {("SN1", "J1"): 0.1, ("SN1", "J2"): 0.55, ("SN2", "J1"): 0.9, ("SN2", "J2"): 0.45}


@pytest.fixture
def pool(tmp_path):
    with PoolWriter(tmp_path / "pool") as writer:
        for number, unit in enumerate(("SN1", "SN2")):
            time = f"2026-01-3{number}T08:00:00+00:00"
            crops = [
                new_crop(
                    refdes,
                    judged(SCORES[unit, refdes], novelty=SCORES[unit, refdes] * 2),
                    package="bar" if refdes == "J1" else "circle",
                )
                for refdes in ("J1", "J2")
            ]
            writer.add(origin(unit, captured=time), crops)
        writer.add(origin("SN3"), [new_crop("J1", kept_because=KeptBecause.RANDOM)])
    return tmp_path / "pool"


def ids(reader, **wanted):
    order = wanted.pop("order", "oldest")
    return [crop.id for crop in reader.page(PoolFilter(**wanted), order=order)]


def test_filters_select_by_every_field(pool):
    with PoolReader(pool) as reader:
        assert ids(reader) == [1, 2, 3, 4, 5]
        assert ids(reader, unit="SN2") == [3, 4]
        assert ids(reader, refdes="J1", unit="SN1") == [1]
        assert ids(reader, package="circle") == [2, 4]
        assert ids(reader, kept_because=KeptBecause.RANDOM) == [5]
        assert ids(reader, since="2026-01-31", until="2026-02-01") == [3, 4, 5]
        assert ids(reader, verdict="REVIEW") == [2, 4]
        assert ids(reader, score=(0.5, 1.0)) == [2, 3]
        assert ids(reader, novelty=(1.0, 2.0)) == [2, 3]
        assert ids(reader, ids=(5, 2)) == [2, 5]
        assert ids(reader, board="other") == []
        for wanted in (PoolFilter(package="circle"), PoolFilter(verdict="REVIEW"), PoolFilter()):
            assert reader.count(wanted) == len(reader.page(wanted))


def test_orders_sort_by_figure_and_leave_out_what_has_none(pool):
    with PoolReader(pool) as reader:
        by_score = sorted(range(1, 5), key=lambda number: -list(SCORES.values())[number - 1])
        assert ids(reader, order="score") == by_score
        assert ids(reader, order="novelty") == by_score
        assert set(ids(reader, order="doubt")[:2]) == {2, 4}
        assert ids(reader, order="newest") == [5, 4, 3, 2, 1]
        assert ids(reader, order="place") == [1, 3, 5, 2, 4]


@pytest.mark.parametrize("order", ["newest", "oldest", "place", "score", "doubt", "novelty"])
def test_pages_join_to_the_whole_without_gap_or_repetition(pool, order):
    with PoolReader(pool) as reader:
        whole = [crop.id for crop in reader.page(order=order)]
        pages, after = [], None
        while page := reader.page(order=order, after=after, limit=2):
            pages += [crop.id for crop in page]
            after = page[-1].id
        assert pages == whole


def test_equal_figures_page_without_gap(tmp_path):
    with PoolWriter(tmp_path) as writer:
        writer.add(origin(), [new_crop(f"J{number}", judged(0.5)) for number in range(7)])
    with PoolReader(tmp_path) as reader:
        assert [crop.id for crop in reader.every(order="score")] == [7, 6, 5, 4, 3, 2, 1]
        first = reader.page(order="doubt", limit=3)
        rest = reader.page(order="doubt", after=first[-1].id)
        assert [crop.id for crop in first + rest] == [1, 2, 3, 4, 5, 6, 7]


def test_disagreement_is_between_two_engines(pool):
    with PoolWriter(pool) as writer:
        writer.judge(1, "2026-02-01T00:00:00+00:00", [judged(0.2, OTHER)])
        writer.judge(2, "2026-02-01T00:00:00+00:00", [judged(0.2, OTHER)])
    for engine in (ENGINE, OTHER):
        with PoolReader(pool, engine) as reader:
            assert ids(reader, disagree=True) == [2]
    with PoolReader(pool) as reader:
        assert reader.engine_sha256 == OTHER
        assert reader.get(3).judged is None


def test_a_reader_sees_what_is_written_after_it_was_opened(pool):
    with PoolReader(pool) as reader:
        assert reader.count() == 5
        with PoolWriter(pool) as writer:
            writer.add(origin("SN4"), [new_crop("J1")])
            assert reader.count() == 6
        assert reader.count() == 6
        assert reader.counts("unit") == {"SN1": 2, "SN2": 2, "SN3": 1, "SN4": 1}


def test_reading_leaves_no_file_behind(pool):
    before = sorted(path.name for path in pool.iterdir())
    with PoolReader(pool) as reader:
        list(reader.every())
    assert sorted(path.name for path in pool.iterdir()) == before


def test_features_come_back_as_float32(tmp_path):
    from sji_edge.core.protocols import JointRecord
    from sji_edge.core.verdict import Verdict
    from sji_edge.pool.rows import Judged

    record = JointRecord("J1", Verdict.FAIL, 0.75, 0.4, 0.6, novelty=0.5)
    vector = np.array([0.5, -1.25, 3.0], np.float32)
    with PoolWriter(tmp_path) as writer:
        writer.add(origin(), [new_crop("J1", Judged.of(record, ENGINE, vector))])
    with PoolReader(tmp_path) as reader:
        found = reader.get(1).judged
    assert np.array_equal(np.frombuffer(found.features, "<f4"), vector)
    assert found.doubt == pytest.approx(np.log(3) - np.log(0.6 / 0.4))


def test_a_folder_without_a_pool_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"is no pool: it has no pool\.db"):
        PoolReader(tmp_path)
    PoolWriter(tmp_path).close()
    with PoolReader(tmp_path) as reader, pytest.raises(UsageError, match="no crop 7"):
        reader.get(7)


def test_pages_of_every_order_and_filter_agree_with_a_plain_selection(pool):
    with PoolWriter(pool) as writer:
        writer.judge_all(
            [(number, [judged(0.5, OTHER)]) for number in range(1, 5)], "2026-02-01T00:00:00+00:00"
        )
    filters = [
        {"unit": "SN2"},
        {"refdes": "J1"},
        {"package": "bar"},
        {"verdict": "REVIEW"},
        {"disagree": True},
        {"score": (0.0, 0.6)},
        {"ids": (1, 4), "verdict": "PASS"},
    ]
    with PoolReader(pool, ENGINE) as reader:
        every = list(reader.every())
        for wanted in filters:
            expected = {crop.id for crop in every if plainly(crop, wanted)}
            assert reader.count(PoolFilter(**wanted)) == len(expected)
            for order in ("newest", "oldest", "place", "score", "doubt", "novelty"):
                looked_at = order in ("newest", "oldest", "place") or {
                    crop.id for crop in every if crop.judged
                }
                found = set(ids(reader, order=order, **wanted))
                assert found == (expected if looked_at is True else expected & looked_at), (wanted, order)


def plainly(crop, wanted):
    figures = crop.judged
    checks = {
        "unit": lambda value: crop.origin.unit == value,
        "refdes": lambda value: crop.refdes == value,
        "package": lambda value: crop.package == value,
        "verdict": lambda value: figures is not None and figures.verdict == value,
        "disagree": lambda _: figures is not None and figures.verdict != "REVIEW",
        "score": lambda limits: figures is not None and limits[0] <= figures.score < limits[1],
        "ids": lambda value: crop.id in value,
    }
    return all(checks[name](value) for name, value in wanted.items())


def test_nobody_disagrees_where_one_engine_looked(pool):
    with PoolReader(pool) as reader:
        assert reader.count(PoolFilter(disagree=True)) == 0
        assert ids(reader, disagree=True, order="score") == []


def test_crops_by_number_come_in_that_order(pool):
    with PoolReader(pool) as reader:
        assert [crop.id for crop in reader.many([4, 1, 5, 1])] == [4, 1, 5, 1]
        assert reader.many([]) == []
        with pytest.raises(UsageError, match="no crop 99"):
            reader.many([1, 99])


@pytest.mark.parametrize("file", ["../outside.png", "/etc/passwd", "crops/../../x.png"])
def test_a_picture_never_leads_out_of_the_pool(pool, file):
    with PoolReader(pool) as reader:
        forged = replace(reader.get(1), file=file)
        with pytest.raises(OutputError, match="outside the pool"):
            reader.picture(forged)
