"""One training of a few steps, run by two processes in test_parallel.py, and by one to compare.

``python parallel_run.py FILE`` writes the flow's weights, and the gradients of its first step.
"""

import sys
from unittest import mock

import torch
from safetensors.torch import save_file

from flowlab.settings import TrainingSettings
from flowlab.training import distributed, train
from realnvp import RealNVP

torch.set_num_threads(1)
torch.manual_seed(0)
flow = RealNVP(event_shape=(1, 4, 4), hidden_channels=4, blocks=1).double()
points = torch.randn(27, 1, 4, 4, generator=torch.Generator().manual_seed(1))
gradients = []
average = distributed.average


def watched(value, batch):
    value = average(value, batch)
    gradients.append(value.detach().clone())
    return value


settings = TrainingSettings(epochs=2, batch_size=7, test_fraction=0.2)
with distributed.group("cpu") as rank, mock.patch("flowlab.training.distributed.average", watched):
    last = list(train(flow, points, settings))[-1]
if rank == 0:
    save_file({**last.snapshot.weights, "gradient": gradients[1]}, sys.argv[1])
