"""Second views of a joint for training."""
