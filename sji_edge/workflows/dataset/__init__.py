"""From people's answers to a dataset that a model can be trained on."""
