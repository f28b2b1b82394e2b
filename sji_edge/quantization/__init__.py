"""Floor 2: calibration crops, and INT8 graphs made with them."""
