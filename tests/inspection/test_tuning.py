import gc
import sys

import cv2
import pytest

from sji_edge.inspection.tuning import ALERT_SWITCH_S, SWITCH_S, opencv_in_one_thread, short_pauses


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


def test_opencv_gets_its_threads_back_after_an_error_too():
    before = cv2.getNumThreads()
    with pytest.raises(KeyError) as found, opencv_in_one_thread():
        raise KeyError(cv2.getNumThreads())
    assert (found.value.args, cv2.getNumThreads()) == ((1,), before)
