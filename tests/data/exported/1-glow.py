"""Glow, trained as in Flow Lab."""

import torch

from glow.train_glow import Run, train

torch.set_num_threads(1)  # as the lab's workers, so that the numbers are the same
settings = Run.from_flat({
    'hidden': (8,),
    'steps': 2,
    'epochs': 2,
    'batch_size': 50,
    'points': 200,
})
for progress in train(settings):
    print(f"epoch {progress.epoch}: train {progress.train_nll:.6f} nats, "
          f"test {progress.test_nll:.6f} nats")
progress.flow.save("glow-moons-e7d490-seed0-weights.safetensors")
