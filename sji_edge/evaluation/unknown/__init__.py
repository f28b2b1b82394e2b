"""Pictures that are like nothing learned, and what a model says to them: no joint, half a joint, or something on it."""
