"""Judge a camera stream (a generated one: 20 frames a second) and record it in SQLite and CSV."""

import sji_edge as sji

with (
    sji.Inspector() as inspector,
    sji.SqliteSink("stream.db") as database,
    sji.CsvSink("stream.csv") as table,
):
    summary = inspector.run(
        "synthetic://?joints=12&frames=20&fps=20",
        sinks=[database, table],
        on_board=lambda record: print(record.frame_name, record.verdict),
    )
print(f"{summary.judged} of {summary.captured} frames judged; joints: {dict(summary.joints)}")
