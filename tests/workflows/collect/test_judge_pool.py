import pytest
from support.bright_model import PLACES, novelty_of, score_of
from support.greys_on_boards import bright_bundle, write_boards
from typer.testing import CliRunner

from sji_edge.cli.app import application
from sji_edge.core.errors import UsageError
from sji_edge.pool.read import PoolReader
from sji_edge.workflows.collect.collect import collect
from sji_edge.workflows.collect.judge_pool import judge_pool

GREYS = {"J1": 90, "J2": 62, "J3": 55}


@pytest.fixture
def pool(tmp_path):
    boards = write_boards(tmp_path / "amplifier", {}, GREYS)
    collect(boards, boards, tmp_path / "pool", keep_duplicates=True)
    return tmp_path / "pool"


def test_an_engine_judges_the_crops_that_it_has_not_seen(tmp_path, pool):
    engine = bright_bundle(tmp_path / "engines", guard=True)
    found = judge_pool(pool, engine)
    assert (found.engine, found.judged, found.before) == ("bright", 2 * len(PLACES), 0)
    assert found.verdicts == {"PASS": 7, "REVIEW": 2, "FAIL": 1, "ERROR": 0}
    with PoolReader(pool) as reader:
        crops = {(crop.origin.frame_index, crop.refdes): crop.judged for crop in reader.every()}
        doubtful = reader.page(order="doubt", limit=1)[0]
    for refdes, grey in GREYS.items():
        assert crops[1, refdes].score == pytest.approx(score_of(grey), abs=0.02)
        assert crops[1, refdes].novelty == pytest.approx(novelty_of(grey), abs=0.1)
    assert crops[1, "J3"].cause == "unlike-training"
    assert (crops[1, "J3"].verdict, crops[0, "J3"].verdict) == ("REVIEW", "PASS")
    assert doubtful.refdes == "J2"
    assert judge_pool(pool, engine).before == 2 * len(PLACES)


def test_it_judges_a_crop_almost_as_infer_judges_the_frame(tmp_path, pool):
    engine, boards = bright_bundle(tmp_path / "engines"), tmp_path / "amplifier"
    collect(boards, boards, tmp_path / "other", engine=engine, keep=["all"], keep_duplicates=True)
    judge_pool(pool, engine)
    with PoolReader(pool) as one, PoolReader(tmp_path / "other") as other:
        pairs = list(zip(one.every(), other.every(), strict=True))
    for mine, theirs in pairs:
        assert mine.judged.score == pytest.approx(theirs.judged.score, abs=0.02)
        assert mine.judged.verdict == theirs.judged.verdict


def test_a_damaged_picture_is_named_and_the_others_are_judged(tmp_path, pool):
    engine = bright_bundle(tmp_path / "engines")
    with PoolReader(pool) as reader:
        first = reader.get(1)
        reader.picture(first).write_bytes(b"torn")
    words = ["pool", "judge", str(pool), "--engine", str(engine)]
    done = CliRunner().invoke(application(), words)
    said = " ".join(done.output.split())
    assert done.exit_code == 0
    assert f"bright judged {2 * len(PLACES) - 1} crops:" in said
    assert "not readable: 1 picture" in said
    with pytest.raises(UsageError, match="is no pool"):
        judge_pool(tmp_path / "none", engine)
