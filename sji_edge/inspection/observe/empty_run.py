"""Makes a run that judged no joint end with an error."""

from sji_edge.core.errors import GateError
from sji_edge.core.verdict import VERDICTS, Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.observe.tally import RunSummary

NEXT_STEP = {
    Cause.UNREADABLE: "check the stream's files: they are damaged, are not images, hold several pages, or use fewer "
    "than 16 bits (set the camera's bit depth, for example 12)",
    Cause.SOURCE_AWAY: "check the camera and its cable, then run it again",
    Cause.WRONG_SIZE: "name the recipe of these frames",
    Cause.BLACK: "check the lamp, the lens cap and the exposure",
    Cause.SATURATED: "lower the exposure or the light, or raise max_saturated_share in board.json",
    Cause.DIM: "check the lamp and the exposure, or retake golden.png under the present light",
    Cause.FROZEN: "check the camera: it delivers the same frame again and again",
    Cause.BLURRED: "focus the camera, or retake golden.png with the present optics",
    Cause.TOO_OLD: "raise the age limit, or speed up the engine: sji-edge bench measures it",
    Cause.ALIGNMENT: "see where fiducials are searched: sji-edge recipe draw RECIPE",
    Cause.OUTSIDE_FRAME: "see where the joints' boxes lie: sji-edge recipe draw RECIPE",
    Cause.HIDDEN: "check the frames for covered joints and lost rows, and the boxes: sji-edge recipe draw RECIPE",
    Cause.NOT_FINITE: "validate the engine: sji-edge engine verify BUNDLE",
    Cause.LATE: "raise the takt, or speed up the engine: sji-edge bench measures it",
}
"""What to do about a cause that all boards share. Causes that end the run have their own hints."""


def nothing_judged(summary: RunSummary) -> GateError | None:
    """Return the error for a run without a verdict, with the most common cause; None for every other run.

    No evidence is a failure: a line whose every board is ERROR has not been inspected, and whatever follows the command
    must not take it for an inspected one.
    """
    if not summary.errors or any(
        summary.joints[verdict] for verdict in VERDICTS if verdict is not Verdict.ERROR
    ):
        return None
    # Frames that were never examined do not explain why the others have no verdict.
    looked_at = {cause: boards for cause, boards in summary.errors.items() if cause in summary.examples}
    cause, boards = max((looked_at or summary.errors).items(), key=lambda item: item[1])
    example = summary.examples.get(cause, "")
    first = f"; the first: {example}" if example else ""
    became = "frames were not judged:" if cause in summary.unrecorded else "boards are ERROR"
    return GateError(
        f"no joint was judged: {boards} of {summary.captured} {became} {cause}{first}",
        hint=NEXT_STEP.get(cause, ""),
    )
