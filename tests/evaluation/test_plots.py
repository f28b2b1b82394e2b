from sji_edge.evaluation.plots import stress_plot
from sji_edge.evaluation.stress import CLEAN, StressPoint


def points(f1: float) -> tuple[StressPoint, ...]:
    return tuple(
        StressPoint(
            kind=kind, unit="px", strength=strength, f1=f1, escapes=0, false_calls=0, reviews=0, errors=0
        )
        for kind, strength in ((CLEAN, 0.0), ("blur", 1.0), ("blur", 2.0))
    )


def test_every_model_has_its_own_line_however_many_there_are():
    runs = {f"model {number}": points(number / 20) for number in range(20)}
    panel = stress_plot(runs).axes[0]
    assert [line.get_label() for line in panel.lines] == list(runs)
    assert len({(line.get_color(), line.get_linestyle()) for line in panel.lines}) == len(runs)
    for number, line in enumerate(panel.lines):
        assert list(line.get_ydata()) == [number / 20] * 3
