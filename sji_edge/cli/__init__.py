"""Floor 4: the command line: parse, run one workflow, render its result, exit code."""
