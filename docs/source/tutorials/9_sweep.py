"""
A sweep
=======

How many couplings does it take, and at which learning rate? One training answers for one pair of
settings. A sweep trains every pair, several times each.
"""

import tempfile
from pathlib import Path

import numpy as np

from flowlab.figures import heat_map
from flowlab.studies.sweep import SweepSettings, points
from models import RECIPES

# %%
# What to train
# -------------
#
# A sweep is a small file. ``[settings]`` is what all runs have in common, ``[sweep]`` the values of
# the settings that change. Two seeds for each pair: one result alone could be luck.

text = """
model = "realnvp"
name = "depth and rate"
seeds = 2

[settings]
data = "moons"
points = 1500
epochs = 12
batch_size = 50
averaging = 30
hidden = [16, 16]

[sweep]
couplings = [1, 4]
learning_rate = {low = 1e-3, high = 4e-2, count = 3, log = true}
"""
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "sweep.toml"
    file.write_text(text)
    sweep = SweepSettings.read(file)

# %%
# Two numbers of couplings, three learning rates at equal ratios, two seeds: twelve trainings. A
# value that a setting does not allow is found here, before the first of them.

recipe = RECIPES[sweep.model]
todo = points(sweep, recipe.Run)
for point in todo[:3]:
    print(point.values, "seed", point.seed)

# %%
# Train
# -----
#
# A point's ``settings`` are a whole run, so any of them can be trained alone. Here they are trained
# one after the other.

kls = {}
for point in todo:
    *_, last = recipe.train(point.settings)
    kls.setdefault(tuple(point.values.values()), []).append(last.kl)

# %%
# Look
# ----
#
# For two settings the picture is a map, here of the mean over the seeds. The frame marks the
# lowest KL.

couplings, rates = (list(dict.fromkeys(values)) for values in zip(*kls, strict=True))
means = np.array([[np.mean(kls[c, r]) for r in rates] for c in couplings])
figure = heat_map(means, couplings, [f"{rate:.2g}" for rate in rates],
                  ["Couplings", "Learning rate"], "KL to the truth (nats)")
figure.set_label("A map of two rows, for one and for four couplings, and three columns of "
                 "learning rates. Each field has a colour and the KL; the least has a frame.")

# %%
# At the lowest rate four couplings are hardly better than one: so short a training gets neither
# far. At higher rates they pull ahead. What depth is worth depends on the rate: anyone who tried
# one setting at a time, at a low rate, would have underestimated depth.
#
# Is it luck?
# -----------
#
# Before you believe a difference between two cells, look at how far apart the seeds of one cell
# are. At the lowest rate they are nearly as far apart as the two cells.

for (c, rate), values in kls.items():
    print(f"{c} couplings, rate {rate:<9.2g} KL of each seed",
          "  ".join(f"{value:.3f}" for value in values))

# %%
# All of it in one go
# -------------------
#
# ``python -m flowlab.sweep sweep.toml``, or the page *Sweeps*, does the same on all cores, and
# keeps every run: the page *Runs* opens each with its curves and its flow. Runs that
# are trained already are reused, so a sweep can be stopped and resumed, or given more values later.
#
# With more than two settings a grid grows fast: five values of each of four are 625 trainings.
# ``search = "random"`` draws some of them instead, and the picture then has a line for each run,
# through its settings to its result. :doc:`/howto/keep-and-sweep` explains the rest.
