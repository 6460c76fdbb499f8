"""
Train your first flow
=====================

A flow learns a distribution from points alone. Here it gets two half moons, and we watch three
things: the loss, the density it has learned, and the samples it draws.
"""

import torch

from flowlab import Flow
from flowlab.data import target
from flowlab.figures import LivePicture, grid_points, loss_curves
from flowlab.training import TrainingSettings, train
from realnvp import RealNVP

# %%
# The data
# --------
#
# A target can draw points, and knows its exact density. The flow will see only the points; the
# density tells us how good the flow gets.

moons = target("moons")
print(moons.description)
print(moons.sample(3, seed=0))
print(f"entropy: {moons.entropy:.3f} nats")

# %%
# The entropy is the best possible loss: no model's expected negative log-likelihood is lower.
#
# The flow
# --------
#
# A RealNVP with its defaults: eight affine couplings, each with a small network. A fresh flow is
# the identity, so what it draws is still the base distribution.

torch.manual_seed(0)
flow = RealNVP(event_shape=(2,), couplings=8, hidden=(64, 64))

# %%
# The training
# ------------
#
# ``train`` is a generator. It gives the state after every epoch; to stop early, leave the loop.

settings = TrainingSettings(epochs=50, points=10_000, seed=0)
history = []
for progress in train(flow, moons, settings):
    history.append((progress.epoch, progress.train_nll, progress.test_nll))
    if progress.epoch % 10 == 0:
        print(f"epoch {progress.epoch:2}: test NLL {progress.test_nll:.3f} nats, "
              f"KL to the truth {progress.kl:.3f} nats")

# %%
# The loss falls towards the dashed line, the loss of the true density on the same test points:
# their estimate of the entropy. What is left between the two is the Kullback–Leibler divergence,
# the distance of the model from the truth.

figure = loss_curves(*zip(*history, strict=True), best=progress.best_nll)
figure.set_label("Training and test loss fall within a few epochs to just above the dashed line "
                 "of the best possible value.")

# %%
# What it has learned
# -------------------
#
# This is the picture that the app shows while a model learns. Above are data points, samples of the
# flow, and where it maps data points to: the latent space, where they should look like the base
# distribution. Below are the true density and the learned one, in the same colours.

size = 120
grid = torch.as_tensor(grid_points(moons.limits, size), dtype=torch.float32)
data = moons.sample(1500, seed=1)
with torch.no_grad():
    samples = flow.sample(1500)
    density = flow.log_prob(grid).exp().reshape(size, size)
    latents, _ = flow.inverse(data)

picture = LivePicture(moons.limits, data, moons.log_prob(grid).exp().reshape(size, size),
                      best=progress.best_nll)
picture.update(samples, density, latents, *zip(*history, strict=True))
picture.png()
figure = picture.figure
figure.set_label("Six panels: the flow's samples and its density both show two half moons like "
                 "the data's, and the data in the latent space fill a round cloud.")

# %%
# Both directions
# ---------------
#
# ``inverse`` maps data to the latent space, ``forward`` maps them back. A round trip returns the
# same point, up to rounding.

with torch.no_grad():
    z, log_det = flow.inverse(data[:4])
    back, _ = flow.forward(z)
print("largest difference:", (back - data[:4]).abs().max().item())
print("log-density, in nats:", flow.log_prob(data[:4]).detach())

# %%
# Save it
# -------
#
# A file holds the weights and the settings, and nothing that could be executed. Loading needs only
# the file.

import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "moons.safetensors"
    flow.save(path)
    again = Flow.load(path)
print(type(again).__name__, again.settings.couplings, "couplings")
print("same density:", torch.equal(again.log_prob(data), flow.eval().log_prob(data)))
