import gc
import sys

import pytest

from sji_edge.inspection.gc_tuning import ALERT_SWITCH_S, SWITCH_S, short_pauses


@pytest.mark.parametrize(("alert", "switch_s"), [(False, SWITCH_S), (True, ALERT_SWITCH_S)])
def test_within_the_block_threads_change_sooner_and_what_was_there_is_not_collected(alert, switch_s):
    before, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    with short_pauses(alert=alert):
        assert sys.getswitchinterval() == pytest.approx(switch_s)
        assert switch_s < before
        assert gc.get_freeze_count() > frozen
        assert gc.isenabled()
    assert sys.getswitchinterval() == pytest.approx(before)
    assert gc.get_freeze_count() == 0


def test_an_error_leaves_nothing_changed():
    before = sys.getswitchinterval()
    with pytest.raises(KeyError), short_pauses():
        raise KeyError
    assert sys.getswitchinterval() == pytest.approx(before)
    assert gc.get_freeze_count() == 0


def test_garbage_made_within_the_block_is_collected():
    class Ring:
        def __init__(self):
            self.me = self

    with short_pauses():
        gc.collect()
        Ring()
        assert gc.collect() >= 1
