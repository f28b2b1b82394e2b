"""Floor 1: backbones and checkpoints."""
