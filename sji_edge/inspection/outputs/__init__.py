"""Where records and pictures of a run go."""
