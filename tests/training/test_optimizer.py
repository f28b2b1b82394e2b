import pytest
from torch import nn

from sji_edge.training.optimizer import adamw_one_cycle


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 6, 10, 100])
def test_the_schedule_ends_low_however_few_steps_there_are(steps):
    optimizer, schedule = adamw_one_cycle(nn.Linear(2, 2), learning_rate=0.1, weight_decay=0.0, steps=steps)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps - 1):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert max(rates) <= 0.1
    assert steps == 1 or rates[-1] < 0.001
