"""Floor 4, the command line: each command parses its options, runs one workflow and renders the result."""
