"""Where a frame's board lies against its recipe."""
