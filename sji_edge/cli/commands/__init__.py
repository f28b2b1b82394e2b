"""One file a command: parse, run one workflow, render the result."""
