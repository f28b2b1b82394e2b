"""Floor 1: one file per sink; each name is one line here."""

from sji_edge.core.registry import Registry

SINKS = Registry(
    "sink",
    {
        "sqlite": "sji_edge.sinks.sqlite:SqliteSink",
        "jsonl": "sji_edge.sinks.jsonl:JsonlSink",
        "csv": "sji_edge.sinks.csvfile:CsvSink",
    },
)
