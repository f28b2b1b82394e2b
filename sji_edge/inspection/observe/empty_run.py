"""A run that gave no joint a verdict has shown nothing, and does not end as if it had."""

from sji_edge.core.errors import GateError
from sji_edge.core.verdict import VERDICTS, Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.observe.tally import RunSummary

NEXT_STEP = {
    Cause.UNREADABLE: "look at the files that the stream names: they are damaged, or no images",
    Cause.SOURCE_AWAY: "look at the camera and its cable, then run it again",
    Cause.WRONG_SIZE: "name the recipe of these frames with --recipe",
    Cause.BLACK: "look at the lamp, the lens cap and the exposure",
    Cause.SATURATED: "lower the exposure or the light, or raise max_saturated_share in board.json",
    Cause.DIM: "look at the lamp and the exposure, or take golden.png again with the light as it is now",
    Cause.FROZEN: "look at the camera: it gives the same frame again and again",
    Cause.BLURRED: "focus the camera, or take golden.png again with the optics as they are now",
    Cause.TOO_OLD: "raise --max-age-ms, or make the work faster: sji-edge bench shows what the engine takes",
    Cause.ALIGNMENT: "see where the fiducials are looked for: sji-edge recipe draw RECIPE",
    Cause.OUTSIDE_FRAME: "see where the joints are looked for: sji-edge recipe draw RECIPE",
    Cause.HIDDEN: "look for covers and lost rows in the frames, and for the joints' boxes: sji-edge recipe draw RECIPE",
    Cause.NOT_FINITE: "prove the engine: sji-edge engine verify BUNDLE",
    Cause.LATE: "raise --takt-ms, or make the work faster: sji-edge bench shows what the engine takes",
}
"""What helps against a cause that all boards share; a cause that ends the run itself says more elsewhere."""


def nothing_judged(summary: RunSummary) -> GateError | None:
    """Return why a run whose frames all came to nothing fails, naming the commonest cause; None for any other run.

    No evidence is a failure: a line whose every board is ERROR has not been inspected, and what follows the
    command must not take it for one that was.
    """
    if not summary.errors or any(
        summary.joints[verdict] for verdict in VERDICTS if verdict is not Verdict.ERROR
    ):
        return None
    # Frames that nobody looked at say nothing about why the others came to nothing.
    looked_at = {cause: boards for cause, boards in summary.errors.items() if cause in summary.examples}
    cause, boards = max((looked_at or summary.errors).items(), key=lambda item: item[1])
    example = summary.examples.get(cause, "")
    first = f"; the first: {example}" if example else ""
    became = "frames were not judged:" if cause in summary.unrecorded else "boards are ERROR"
    return GateError(
        f"no joint was judged: {boards} of {summary.captured} {became} {cause}{first}",
        hint=NEXT_STEP.get(cause, ""),
    )
