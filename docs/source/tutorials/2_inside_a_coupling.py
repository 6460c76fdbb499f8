"""
Look inside a coupling
======================

A coupling keeps one coordinate, and lets a network decide how to stretch and move the other. This
page takes one out of a trained flow, and checks everything the theory says about it: see
:doc:`/theory/flows`.
"""

import torch
from matplotlib.figure import Figure

from flowlab.bijections import AffineCoupling
from flowlab.data import target
from flowlab.figures import style
from flowlab.training import TrainingSettings, train
from realnvp import RealNVP

torch.manual_seed(1)
moons = target("moons")
flow = RealNVP(couplings=6, activation="elu")
*_, progress = train(flow, moons, TrainingSettings(epochs=50, points=10_000, seed=1))
print(f"KL to the truth {progress.kl:.3f} nats")

# %%
# The way through the layers
# --------------------------
#
# ``trace`` gives the points after every layer. Each coupling moves points along one axis only,
# alternately up and down, and left and right. The last layer puts them into the data's units.

z = flow.base_sample(1200, torch.Generator().manual_seed(0))
with torch.no_grad():
    stages = flow.trace(z)

theme = style.theme("light")
turn = torch.atan2(z[:, 1], z[:, 0])
figure = Figure(figsize=(10, 5.2), layout="constrained")
for k, (axes, points) in enumerate(zip(figure.subplots(2, 4).flat, stages, strict=True)):
    axes.scatter(*points.T, c=turn, cmap=theme.angles(), s=4, linewidths=0)
    layer = "latent" if k == 0 else type(flow.layers[k - 1]).__name__
    axes.set(title=f"{k}: {layer}", xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
figure.set_label("Eight small plots: a round cloud of points, coloured by angle, is pulled apart "
                 "layer by layer until it forms two half moons.")

# %%
# One half stays
# --------------
#
# Take the third coupling. Which half it keeps, and which it changes, are two slices.

layer = flow.layers[2]
assert isinstance(layer, AffineCoupling)
before, after = stages[2], stages[3]
print("kept: coordinate", layer.kept.start, "· changed: coordinate", layer.changed.start)
print("kept half unchanged:", torch.equal(before[:, layer.kept], after[:, layer.kept]))

# %%
# The network decides
# -------------------
#
# Log-scale and shift depend on the kept coordinate alone, so they are two curves. Where the
# log-scale is positive the coupling stretches, where it is negative it squeezes.

kept = torch.linspace(-3, 3, 300)[:, None]
with torch.no_grad():
    log_scale, shift = layer.inner.scale_and_shift(layer.conditions(kept))
figure = Figure(figsize=(10, 3.6), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(kept, log_scale, color=theme.model)
left.set(title="log-scale s", xlabel="kept coordinate", ylabel="nats")
right.plot(kept, shift, color=theme.data)
right.set(title="shift t", xlabel="kept coordinate")
for axes in (left, right):
    axes.axhline(0, color=theme.line, zorder=0)
figure.set_label("Two smooth curves over the kept coordinate: the log-scale and the shift that "
                 "this coupling learned.")

# %%
# The Jacobian is triangular
# --------------------------
#
# By automatic differentiation, at one point. One of the two entries off the diagonal is 0, because
# the kept coordinate does not depend on the other. So the determinant is the product of the
# diagonal, whatever is in the other corner.

point = before[0]
jacobian = torch.autograd.functional.jacobian(lambda v: layer.forward(v[None])[0][0], point)
print(jacobian)
print("log-determinant by autograd: ", torch.linalg.slogdet(jacobian)[1].item())
print("log-determinant by the layer:", layer.forward(point[None])[1].item())

# %%
# The inverse costs the same
# --------------------------
#
# The kept half is there, so the network is computed once more, forwards, and its scale and shift
# are undone. The network itself is never inverted.

with torch.no_grad():
    back, log_det = layer.inverse(after)
print("largest difference after a round trip:", (back - before).abs().max().item())
