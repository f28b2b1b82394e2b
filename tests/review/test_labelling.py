"""The view Label behind its pages: orders, likeness, labels and their undo."""

import numpy as np
import pytest
from support.board_records import rows
from support.pool_material import judged, new_crop, origin

from sji_edge.core.decisions import Role
from sji_edge.core.errors import UsageError
from sji_edge.pool.read import PoolFilter, PoolReader
from sji_edge.pool.write import PoolWriter
from sji_edge.review.categories import read_categories
from sji_edge.review.labelling import Pool
from sji_edge.review.likeness import likeness_vectors, nearest_to, one_after_another
from sji_edge.review.pictures import NoPictureError
from sji_edge.review.shown import Person

EVE = Person("eve", Role.ENGINEER)
ALL = PoolFilter()
SCORES = (0.05, 0.9, 0.45, 0.7, 0.2, 0.55)


def hashed(group: int, number: int) -> bytes:
    """Bits that are mostly those of a group, with a few of one's own."""
    bits = np.random.default_rng(group).integers(0, 2, 256)
    bits[np.random.default_rng(100 + number).choice(256, 6)] ^= 1
    return np.packbits(bits).tobytes()


@pytest.fixture
def folder(tmp_path):
    """Six crops in two groups that look alike: 1, 3, 5 and 2, 4, 6."""
    with PoolWriter(tmp_path / "pool") as pool:
        for number, score in enumerate(SCORES):
            crop = new_crop(
                f"J{number}", judged(score, novelty=1 - score), likeness=hashed(number % 2, number)
            )
            pool.add(origin(f"SN{number}"), [crop])
    return tmp_path / "pool"


@pytest.fixture
def pool(folder):
    opened = Pool(folder, read_categories())
    yield opened
    opened.close()


def ids(page):
    return [crop.id for crop in page.crops]


def label(pool, chosen, category, token="12345678"):
    return pool.label(EVE, chosen, category, 3.0, False, token)


def test_crops_come_in_the_pools_own_orders(pool):
    assert ids(pool.page(ALL, "score")) == [2, 4, 6, 3, 5, 1]
    assert ids(pool.page(ALL, "novelty")) == [1, 5, 3, 6, 4, 2]
    assert ids(pool.page(ALL, "doubt"))[:2] == [3, 6]
    assert ids(pool.page(PoolFilter(score=(0.4, 0.6)), "oldest")) == [3, 6]


def test_crops_that_look_alike_stand_together(pool):
    groups = [number % 2 for number in ids(pool.page(ALL, "likeness"))]
    assert groups in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])


def test_more_like_these_begins_with_these(pool):
    found = ids(pool.alike([4], ALL))
    assert found[0] == 4
    assert set(found[1:3]) == {2, 6}
    with pytest.raises(UsageError, match="no crop 99"):
        pool.alike([99], ALL)


def test_labels_are_rows_of_one_moment_and_share_the_time_taken(pool, folder):
    assert label(pool, [1, 3, 5], "normal") == [1, 2, 3]
    assert rows(
        folder / "pool.db", "SELECT who, subject, refdes, what, category, seconds FROM decisions"
    ) == [("eve", str(one), "", "Labelled", "normal", 1.0) for one in (1, 3, 5)]
    # The same press again, because its answer was lost.
    assert label(pool, [1, 3, 5], "normal") == [1, 2, 3]


def test_what_has_a_label_leaves_the_list_of_those_without(pool):
    label(pool, [2, 4], "bridge")
    assert set(ids(pool.page(ALL, "newest", "none"))) == {1, 3, 5, 6}
    assert set(ids(pool.page(ALL, "newest", "any"))) == {2, 4}
    assert ids(pool.page(ALL, "newest", "normal")) == []
    assert pool.facets().labels == {"bridge": 2}


def test_undo_takes_a_press_back_as_a_whole(pool):
    first = label(pool, [2, 4], "bridge")
    label(pool, [4], "excess", "87654321")
    pool.undo(EVE, first, "undo-one")
    assert pool.facets().labels == {"excess": 1}


def test_labels_of_another_station_are_seen(pool, folder):
    other = Pool(folder, read_categories())
    label(other, [1], "normal")
    other.close()
    assert pool.facets().labels == {"normal": 1}


def test_what_contradicts_the_model_most_comes_first(pool):
    label(pool, [1], "bridge")
    label(pool, [2, 3], "normal", "87654321")
    # Scores 0.05 as a defect, 0.9 and 0.45 as good.
    assert ids(pool.page(ALL, "disagreement"))[:3] == [1, 2, 3]


def test_pages_go_on_where_the_last_one_ended_also_between_labelled_ones(pool):
    label(pool, [5], "normal")
    first = pool.page(ALL, "newest", "none", limit=2)
    second = pool.page(ALL, "newest", "none", after=first.after, limit=2)
    last = pool.page(ALL, "newest", "none", after=second.after, limit=2)
    assert ids(first) + ids(second) + ids(last) == [6, 4, 3, 2, 1]
    assert last.after is None


@pytest.mark.parametrize(
    ("chosen", "category", "said"),
    [
        ([1], "no-such", "no class"),
        ([], "normal", "1 to 2000"),
        ([1, 99], "normal", "does not have"),
        ([1] * 2001, "normal", "1 to 2000"),
    ],
)
def test_a_label_that_cannot_be_is_refused_and_nothing_written(pool, folder, chosen, category, said):
    with pytest.raises(UsageError, match=said):
        label(pool, chosen, category)
    assert rows(folder / "pool.db", "SELECT count(*) FROM decisions") == [(0,)]


def test_a_picture_is_served_as_it_is_and_never_from_outside_the_pool(pool, folder, tmp_path):
    with PoolReader(folder) as reader:
        path = reader.picture(reader.get(1))
    assert pool.picture(1).data == path.read_bytes()
    (tmp_path / "secret.png").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(tmp_path / "secret.png")
    with pytest.raises(NoPictureError, match="outside"):
        pool.picture(1)
    path.unlink()
    with pytest.raises(NoPictureError, match="missing"):
        pool.picture(1)


def test_a_folder_that_is_no_pool_stays_as_it_is(tmp_path):
    with pytest.raises(UsageError, match="is no pool"):
        Pool(tmp_path, read_categories())
    assert list(tmp_path.iterdir()) == []


def test_neighbours_in_the_chain_are_nearest_of_those_left():
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = one_after_another(vectors)
    assert sorted(order) == list(range(40))
    for place in range(39):
        left = order[place + 1 :]
        distances = [float(np.linalg.norm(vectors[order[place]] - vectors[one])) for one in left]
        assert distances[0] == pytest.approx(min(distances))
    wanted = sorted(
        range(2, 40), key=lambda one: min(np.linalg.norm(vectors[one] - vectors[s]) for s in (0, 1))
    )
    assert [index + 2 for index in nearest_to(vectors[:2], vectors[2:])] == wanted


def test_an_engines_features_count_more_than_hashes_where_all_have_them(tmp_path):
    with PoolWriter(tmp_path / "pool") as pool:
        for number in range(4):
            features = np.array([number % 2, 1, 0], "<f4").tobytes()
            crop = new_crop(
                f"J{number}", judged(0.1, features=features), likeness=hashed(number // 2, number)
            )
            pool.add(origin(f"SN{number}"), [crop])
    with PoolReader(tmp_path / "pool") as reader:
        vectors = likeness_vectors(list(reader.every()))
    assert vectors[0] @ vectors[2] == pytest.approx(1.0)
    assert vectors[0] @ vectors[1] == pytest.approx(-1.0)
