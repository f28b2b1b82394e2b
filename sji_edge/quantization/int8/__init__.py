"""INT8 as an explicit Q/DQ graph."""
