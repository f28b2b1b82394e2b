"""Floor 1, inspection records: sinks write them (one name a line here), and readers read them back."""

from sji_edge.core.registry import Registry

SINKS = Registry(
    "sink",
    {
        "sqlite": "sji_edge.records.write.sqlite:SqliteSink",
        "jsonl": "sji_edge.records.write.jsonl:JsonlSink",
        "csv": "sji_edge.records.write.csv:CsvSink",
    },
    group="sji_edge.sinks",
)
