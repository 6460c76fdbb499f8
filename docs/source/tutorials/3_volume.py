"""
NICE against RealNVP: volume
============================

NICE only moves points; RealNVP stretches too. What difference does it make? A flow that cannot
change volume cannot make one place denser than another, except by what its base distribution
has to offer.
"""

import torch
from matplotlib.figure import Figure

from flowlab.data import target
from flowlab.figures import grid_points, style
from flowlab.training import TrainingSettings, train
from nice import NICE
from realnvp import RealNVP

# %%
# Both models have eight couplings, the
# same networks, and the same training.

moons = target("moons")
settings = TrainingSettings(epochs=24, points=10_000, seed=0)
flows, kl = {}, {}
for model in (NICE, RealNVP):
    torch.manual_seed(0)
    flow = model(couplings=8, hidden=(64, 64))
    *_, progress = train(flow, moons, settings)
    flows[model.__name__], kl[model.__name__] = flow.eval(), progress.kl
    print(f"{model.__name__:8} KL to the truth {progress.kl:.3f} nats")

# %%
# Where space is stretched
# ------------------------
#
# The log-determinant says how much the neighbourhood of a latent point is stretched on its way to
# the data; where it is low, points end closer together. NICE has one number for all points, RealNVP
# one for each. (``inverse`` returns that of the way back, which has the other sign.)

data = moons.sample(4000, seed=1)
theme = style.theme("light")
figure = Figure(figsize=(10, 4.2), layout="constrained")
with torch.no_grad():
    log_dets = {name: -flow.inverse(data)[1] for name, flow in flows.items()}
low, high = torch.quantile(log_dets["RealNVP"], torch.tensor([0.02, 0.98])).tolist()
for axes, (name, log_det) in zip(figure.subplots(1, 2), log_dets.items(), strict=True):
    image = axes.scatter(*data.T, c=log_det, s=5, vmin=low, vmax=high)
    axes.set_title(f"{name}: from {log_det.min():.2f} to {log_det.max():.2f}")
figure.colorbar(image, ax=figure.axes, label="log |det ∂x/∂z|, nats")
figure.set_label("Data points coloured by the log-determinant: NICE's all have one colour, "
                 "RealNVP's change along the two moons.")

# %%
# What that does to the density
# -----------------------------
#
# Along a moon the true density is nearly constant, and beside it nearly 0. NICE has to build this
# from its bell-shaped base without stretching: it folds the bell into shape, and the ridge keeps
# the bell's rise and fall.

size = 150
grid = torch.as_tensor(grid_points(moons.limits, size), dtype=torch.float32)
figure = Figure(figsize=(10, 3.7), layout="constrained")
densities = {"the truth": moons.log_prob(grid).exp()}
with torch.no_grad():
    densities |= {f"{name}, KL {kl[name]:.3f}": flow.log_prob(grid).exp()
                  for name, flow in flows.items()}
highest = densities["the truth"].max().item()
for axes, (name, density) in zip(figure.subplots(1, 3), densities.items(), strict=True):
    axes.imshow(density.reshape(size, size), origin="lower", extent=moons.limits,
                cmap=theme.densities(), vmin=0, vmax=highest)
    axes.set_title(name)
figure.set_label("Three densities: two even moons; NICE's with uneven brightness and bridges "
                 "between them; RealNVP's close to the truth.")

# %%
# Density values
# --------------
#
# Sort the log-density over samples of each model. A map of constant volume only shifts this curve:
# NICE's is the curve of its base, moved by the constant log-determinant. RealNVP's can follow the
# curve of the truth.

with torch.no_grad():
    nice = flows["NICE"]
    z = nice.base_sample(4000, torch.Generator().manual_seed(0))
    x, log_det = nice.forward(z)
    print("spread of NICE's log-determinant:", log_det.std().item())
    curves = {
        "the truth": moons.log_prob(moons.sample(4000, seed=3)),
        "NICE": nice.log_prob(x),
        "RealNVP": flows["RealNVP"].log_prob(flows["RealNVP"].sample(4000)),
    }
figure = Figure(figsize=(8, 4.4), layout="constrained")
axes = figure.subplots()
colours = (theme.text, theme.test, theme.model)
for (name, values), colour in zip(curves.items(), colours, strict=True):
    axes.plot(torch.linspace(0, 1, len(values)), values.sort().values, label=name, color=colour)
axes.set(xlabel="share of the samples", ylabel="log-density, nats", ylim=(-6, 1))
axes.legend()
figure.set_label("Sorted log-densities: RealNVP's curve lies on that of the truth, NICE's is "
                 "steeper, with too much at both ends.")

# %%
# Try it yourself: move the point over the density of this NICE, and read how much the flow
# stretches area there.
#
# .. explorable:: nice
