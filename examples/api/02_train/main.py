"""Train with a rare class weighted up, under a name of your own, and read the figures from the model card."""

import sji_edge as sji

run = sji.train(
    "joints/",
    name="tuned",
    class_weights="balanced",
    beta=0.5,
    image_size=32,
    epochs=1,
    batch_size=16,
    progress=print,
)
print(f"{run.folder}: PASS below {run.card.thresholds.lower:.3f}, FAIL from {run.card.thresholds.upper:.3f}")
for split, figures in run.card.metrics.items():
    print(f"{split}: average precision {figures['average_precision']:.3f}")
