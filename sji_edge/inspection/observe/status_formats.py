"""Formats a run's figures for machines: as a JSON line, or in Prometheus' text format (version 0.0.4)."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sji_edge.inspection.observe.shadow import ShadowReport, as_json
from sji_edge.inspection.observe.tally import RunSummary

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]


def status_line(summary: RunSummary, shadow: ShadowReport | None = None) -> str:
    """Return a line of JSON with counts by verdict and cause, and latencies by stage in milliseconds."""
    status: dict[str, object] = {
        "type": "status",
        "wall_s": round(summary.wall_s, 3),
        "captured": summary.captured,
        "judged": summary.judged,
        "in_flight": summary.in_flight,
        "joints_per_s": round(summary.joints_per_s, 1),
        "boards": {verdict.value: count for verdict, count in summary.boards.items()},
        "joints": {verdict.value: count for verdict, count in summary.joints.items()},
        "unlike_training": summary.unlike_training,
        "unlike_golden": summary.unlike_golden,
        "no_serial": summary.no_serial,
        "retests": summary.retests,
        "errors": {cause.value: count for cause, count in summary.errors.items()},
        "unrecorded": {cause.value: count for cause, count in summary.unrecorded.items()},
        "left_out": [one.model_dump(mode="json") for one in summary.left_out],
        "latency_ms": {
            stage: {
                "mean": latency.mean_ms,
                "p50": latency.p50_ms,
                "p90": latency.p90_ms,
                "p99": latency.p99_ms,
                "p99.9": latency.p999_ms,
                "max": latency.max_ms,
            }
            for stage, latency in summary.latency.items()
        },
    }
    if shadow is not None:
        status["shadow"] = as_json(shadow)
    return json.dumps(status, allow_nan=False)


def prometheus_text(summary: RunSummary, info: Labels, shadow: ShadowReport | None = None) -> str:
    """Return the run's metrics.

    Args:
        summary: the counts so far.
        info: labels that identify the engine, in their own metric.
        shadow: the result of shadow parity so far, if it is on.
    """
    families = [
        _family("engine_info", "gauge", "The engine that judges.", [("", info, 1)]),
        _family("run_seconds", "gauge", "Time since the run began.", [("", {}, summary.wall_s)]),
        _family("frames_captured_total", "counter", "Frames from the source.", [("", {}, summary.captured)]),
        _family("boards_judged_total", "counter", "Boards with a verdict.", [("", {}, summary.judged)]),
        _counts("boards_total", "Boards on record by verdict.", "verdict", summary.boards),
        _counts("joints_total", "Joints on record by verdict.", "verdict", summary.joints),
        _family(
            "joints_unlike_training_total",
            "counter",
            "Joints that the guard sent to REVIEW.",
            [("", {}, summary.unlike_training)],
        ),
        _family(
            "joints_unlike_golden_total",
            "counter",
            "Joints at REVIEW because they are unlike their place on the enrolled boards.",
            [("", {}, summary.unlike_golden)],
        ),
        _family(
            "boards_without_serial_total",
            "counter",
            "Boards or units on record whose serial number could not be read.",
            [("", {}, summary.no_serial)],
        ),
        _family(
            "boards_retested_total",
            "counter",
            "Boards or units on record whose serial number was on record before.",
            [("", {}, summary.retests)],
        ),
        _counts("boards_dropped_total", "Boards without a verdict, by cause.", "cause", summary.errors),
        _counts("frames_unrecorded_total", "Those without a record.", "cause", summary.unrecorded),
        _family("frames_in_flight", "gauge", "Captured, not yet recorded.", [("", {}, summary.in_flight)]),
        _family("latency_seconds", "summary", "Latency of a board by stage.", _latencies(summary)),
        _family(
            "latency_max_seconds",
            "gauge",
            "Greatest latency of a board by stage.",
            [("", {"stage": _name(stage)}, log.max_ms / 1e3) for stage, log in summary.latency.items()],
        ),
    ]
    if shadow is not None:
        families += _shadow_families(shadow)
    return "".join(families)


def _latencies(summary: RunSummary) -> Iterable[Sample]:
    for stage, log in summary.latency.items():
        labels = {"stage": _name(stage)}
        quantiles = {"0.5": log.p50_ms, "0.9": log.p90_ms, "0.99": log.p99_ms, "0.999": log.p999_ms}
        for quantile, milliseconds in quantiles.items():
            yield "", {**labels, "quantile": quantile}, milliseconds / 1e3
        yield "_sum", labels, log.total_ms / 1e3
        yield "_count", labels, log.count


def _shadow_families(shadow: ShadowReport) -> list[str]:
    return [
        _family(f"shadow_{name}", kind, text, [("", {}, value)])
        for name, kind, text, value in (
            ("replayed_total", "counter", "Crops that the reference judged too.", shadow.replayed),
            ("skipped_total", "counter", "Crops of the share that were not replayed.", shadow.skipped),
            ("flips_total", "counter", "Verdicts that differ from the reference's.", shadow.flips),
            ("escape_flips_total", "counter", "Those where the engine says PASS.", shadow.escape_flips),
            (
                "silent_guard_flips_total",
                "counter",
                "Those that the reference's guard stopped.",
                shadow.silent_guard_flips,
            ),
            ("score_error_max", "gauge", "Greatest difference of two scores.", shadow.max_score_error),
        )
    ]


def _counts(name: str, text: str, label: str, counts: Mapping[Any, int]) -> str:
    return _family(name, "counter", text, [("", {label: str(key)}, count) for key, count in counts.items()])


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    full = f"sji_edge_{name}"
    lines = [f"# HELP {full} {text}\n", f"# TYPE {full} {kind}\n"]
    for suffix, labels, value in samples:
        listed = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{full}{suffix}{{{listed}}} {value!r}\n" if listed else f"{full}{suffix} {value!r}\n")
    return "".join(lines)


def _name(stage: str) -> str:
    return stage.replace(" ", "_")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
