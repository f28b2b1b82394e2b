"""Finding fiducials to a fraction of a pixel."""
