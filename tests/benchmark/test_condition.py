from contextlib import suppress

import numpy as np
import pytest

from sji_edge.benchmark.alternate import BlockSettings
from sji_edge.benchmark.condition import METRICS, Condition, failures
from sji_edge.benchmark.report import BenchReport, BenchRow, SubjectFacts
from sji_edge.core.errors import UsageError


def _row(subject: str, batch: int, **changes: float) -> BenchRow:
    figures = dict.fromkeys(("mean_ms", "p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "max_ms"), 5.0 * batch)
    values = {**figures, "joints_per_s": 1000.0, "calls": 10, **changes}
    return BenchRow(subject=subject, threads=1, batch=batch, **values)


def _report() -> BenchReport:
    subjects = [
        SubjectFacts(name=name, backend="b", precision="p", file_bytes=size, sha256="", released=True)
        for name, size in (("engine", 4_000_000), ("torch", 14_000_000))
    ]
    return BenchReport(
        created_utc="",
        environment={},
        settings=BlockSettings(),
        baseline="torch",
        subjects=tuple(subjects),
        rows=(_row("engine", 1, ratio=6.0), _row("engine", 8), _row("torch", 1, p99_ms=99.0)),
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("p99_ms>8", ("p99_ms", None, ">", 8.0)),
        ("  p99_ms @ 1 >= 8.5 ", ("p99_ms", 1, ">=", 8.5)),
        ("joints_per_s@64<1e3", ("joints_per_s", 64, "<", 1000.0)),
        ("file_mb<=0.25", ("file_mb", None, "<=", 0.25)),
        ("p99_9_ms@100>10", ("p99_9_ms", 100, ">", 10.0)),
    ],
)
def test_conditions_are_read(text: str, parts: tuple[object, ...]) -> None:
    found = Condition.parse(text)
    assert (found.metric, found.batch, found.comparison, found.limit) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p99_ms",
        "p99_ms>",
        ">8",
        "p99_ms=8",
        "p99_ms==8",
        "p99_ms>8ms",
        "p99_ms>-1",
        "p99_ms>nan",
        "p99_ms>inf",
        "p99_ms>8 or 1",
        "p99_ms>8;p50_ms>1",
        "p99_ms@x>8",
        "p99_ms@-1>8",
        "p99_ms@1@2>8",
        "8<p99_ms",
        "__import__('os').system('true')>8",
        "p99_ms.__class__>8",
        "p99_ms>" + "9" * 400,
        "file_mb@1>8",
        "calls>1",
        "subject>1",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Condition.parse(text)


def test_a_misspelt_metric_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        Condition.parse("p99ms>8")
    assert "p99_ms" in caught.value.hint


def test_random_texts_raise_nothing_but_usage_errors() -> None:
    rng = np.random.default_rng(1)
    alphabet = [*METRICS, *"@<>=0123456789.e-+ _()'\"\\x\n\x00", "1e999", "é"]
    for _ in range(3000):
        text = "".join(rng.choice(alphabet) for _ in range(rng.integers(0, 8)))
        with suppress(UsageError):
            assert np.isfinite(Condition.parse(text).limit)


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("p99_ms>5", ["(engine, batch 8"]),
        ("p99_ms>=5", ["(engine, batch 1", "(engine, batch 8"]),
        ("p99_ms@1>5", []),
        ("p99_ms@1>4.9", ["(engine, batch 1"]),
        ("joints_per_s<1000", []),
        ("joints_per_s<=1000", ["(engine, batch 1", "(engine, batch 8"]),
        ("ratio@1<6.5", ["(engine, batch 1"]),
        ("file_mb>3", ["(engine)"]),
        ("file_mb>4", []),
        ("p99_ms@32>1", ["nothing was measured"]),
        ("ratio@8<1", ["nothing was measured"]),
        ("peak_rss_mb>1", ["nothing was measured"]),
    ],
)
def test_the_gate_looks_at_engines_only_and_wants_evidence(text: str, broken: list[str]) -> None:
    found = failures([Condition.parse(text)], _report(), exempt="torch")
    assert len(found) == len(broken)
    for line, part in zip(found, broken, strict=True):
        assert part in line
