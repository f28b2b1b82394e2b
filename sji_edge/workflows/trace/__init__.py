"""Everything that is known of one unit."""
