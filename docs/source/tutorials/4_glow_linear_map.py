"""
Glow's linear map
=================

RealNVP swaps the two halves between couplings. Glow learns how to mix them: an invertible matrix,
on images a 1×1 convolution. This page opens it.
"""

import torch
from matplotlib.figure import Figure

from flowlab.bijections import Linear
from flowlab.data import target
from flowlab.figures import style
from flowlab.training import TrainingSettings, train
from glow import Glow

# %%
# Three factors
# -------------
#
# The matrix is stored as :math:`W = P L (U + \mathrm{diag}(s))`: a permutation, and two triangular
# matrices. The determinant of a triangular matrix is the product of its diagonal, so
# :math:`\log|\det W| = \sum_i \log|s_i|`, without computing a determinant.

torch.manual_seed(0)
layer = Linear(3)
lower, upper = layer.factors()
weight = layer.permutation @ lower @ upper
print("L =", lower.detach(), "U + diag(s) =", upper.detach(), sep="\n")
print("log|det W| by its entries:", torch.linalg.slogdet(weight)[1].item())
print("log|det W| by the layer:  ", layer.inverse(torch.zeros(1, 3))[1].item())

# %%
# It starts as a random rotation: it mixes from the start, and stretches nothing.

print((weight @ weight.T).detach().round(decimals=5))

# %%
# Never singular
# --------------
#
# Why not learn the nine entries themselves? A step of the optimiser may then lead to a matrix
# without an inverse, and the training fails. Of the factors, only :math:`s` could make the
# determinant 0, and its logarithm is what is learned. However we perturb the parameters, a round
# trip returns the same point.

worst = 0.0
for _ in range(1000):
    shaken = Linear(3).double()
    for parameter in shaken.parameters():
        parameter.data += torch.randn_like(parameter)
    x = torch.randn(10, 3).double()
    with torch.no_grad():
        back = shaken.forward(shaken.inverse(x)[0])[0]
    worst = max(worst, (back - x).abs().max().item())
print(f"largest difference of 1,000 shaken maps: {worst:.1e}")

# %%
# What it learns
# --------------
#
# A tilted Gaussian needs no coupling at all: one linear map suffices. Glow gets it right at once.

torch.manual_seed(0)
tilted = target("gaussian")
glow = Glow(steps=1, hidden=(16,))
*_, progress = train(glow, tilted, TrainingSettings(epochs=20, points=4000))
print(f"KL to the truth: {progress.kl:.4f} nats")

# %%
# On the pinwheel every step mixes in its own way. The picture shows what each of six learned maps
# does to the two axes, data to latent: blue is the first coordinate, orange the second.

torch.manual_seed(0)
pinwheel = target("pinwheel")
glow = Glow(steps=6)
*_, progress = train(glow, pinwheel, TrainingSettings(epochs=50, points=10_000))
print(f"KL to the truth: {progress.kl:.3f} nats")

theme = style.theme("light")
maps = [layer for layer in glow.layers if isinstance(layer, Linear)]
circle = torch.linspace(0, 2 * torch.pi, 100)
circle = torch.stack((circle.cos(), circle.sin()), 1)
figure = Figure(figsize=(10, 2.3), layout="constrained")
for k, (axes, layer) in enumerate(zip(figure.subplots(1, 6), reversed(maps), strict=True)):
    with torch.no_grad():
        ring, _ = layer.inverse(circle)
        ends, log_det = layer.inverse(torch.eye(2))
    axes.plot(*ring.T, color=theme.muted)
    for end, colour in zip(ends, (theme.data, theme.model), strict=True):
        axes.annotate("", end.tolist(), (0, 0), arrowprops={"arrowstyle": "->", "color": colour})
    axes.set(title=f"step {k + 1}\nlog|det W| {log_det[0]:.2f}", xlim=(-2, 2), ylim=(-2, 2),
             xticks=[], yticks=[], aspect="equal")
figure.set_label("Six small plots, one for each step: the unit circle becomes an ellipse, and the "
                 "arrows of the two axes are turned by a different angle in each.")

# %%
# With the mixing learned, no step needs to alternate: every coupling of Glow changes the same
# half, and the map before it decides what is in that half.
