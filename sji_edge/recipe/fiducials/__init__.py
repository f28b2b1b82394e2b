"""Find fiducials to a fraction of a pixel."""
