"""One file a table: typed results in, Rich on the terminal out."""
