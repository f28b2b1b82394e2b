"""Reading records, also while a run is writing them."""
