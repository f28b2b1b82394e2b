"""The recorder tells how often a board was seen before, from what the database holds."""

from contextlib import closing

from support.board_records import record, rows

from sji_edge.core.protocols import Frame
from sji_edge.inspection.judging.frame_job import Judgement
from sji_edge.inspection.observe.alarm import ProcessAlarm
from sji_edge.inspection.observe.tally import Tally
from sji_edge.inspection.outputs.recorder import Recorder
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.testing import FakeClock


def test_a_board_that_comes_back_is_counted_also_in_a_later_run(tmp_path):
    path = tmp_path / "inspections.db"
    shown = []
    for run, serials in (("a", ("SN1", "SN2", "SN1")), ("b", ("SN1", ""))):
        tally = Tally()
        with closing(SqliteSink(path)) as sink:
            recorder = Recorder(
                [sink], tally, FakeClock(), ProcessAlarm(0), [lambda _, judgement: shown.append(judgement)]
            )
            for index, serial in enumerate(serials):
                made = record(index, board=f"{run}-{index:06d}", serial=serial)
                assert recorder.record(Frame(index, "f", 0, None), Judgement(made, None)) is None
    assert [judgement.record.retest for judgement in shown] == [0, 0, 1, 2, 0]
    assert tally.summary(1.0).retests == 1
    assert rows(path, "SELECT retest FROM boards ORDER BY id") == [(0,), (0,), (1,), (2,), (0,)]
