"""Send every record to a sink of your own, and test that sink without a model or a camera."""

import json

import sji_edge as sji


class LineController:
    """Tells a line controller about each board that did not pass; ``send`` stands for your own connection."""

    def __init__(self, send) -> None:
        self._send = send

    def write(self, record: sji.BoardRecord) -> None:
        if record.verdict is sji.Verdict.PASS:
            return
        joints = [joint.refdes for joint in record.joints if joint.verdict is not sji.Verdict.PASS]
        try:
            self._send(json.dumps({"board": record.frame_name, "verdict": record.verdict, "joints": joints}))
        except OSError as error:
            raise sji.errors.OutputError("the line controller does not answer") from error

    def close(self) -> None:
        pass


with sji.Inspector(recipe="boards/") as inspector:
    inspector.run("boards/", sinks=[LineController(send=print)])

# A test needs neither: a record is plain data.
sent: list[str] = []
joint = sji.JointRecord("J7", sji.Verdict.FAIL, 0.9, lower=0.4, upper=0.6)
record = sji.BoardRecord("b1", 0, "b1.png", "2025-01-31T08:09:10+00:00", joint.verdict, (joint,), "e", "r")
LineController(send=sent.append).write(record)
assert json.loads(sent[0])["joints"] == ["J7"]
print("the sink's own test passed")
