"""
A sweep
=======

How many couplings does it take, and at which learning rate? One training answers for one pair of
settings. A sweep trains every pair, and keeps each run, so that nothing is trained twice.
"""

import csv
import io
import tempfile
from collections import defaultdict
from pathlib import Path

from flowlab.runs import Store
from flowlab.sweep import Sweep, SweepSettings
from flowlab.sweep.__main__ import train
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
learning_rate = [0.001, 0.005, 0.025]
"""
folder = Path(tempfile.mkdtemp())
(folder / "sweep.toml").write_text(text)
settings = SweepSettings.read(folder / "sweep.toml")

# %%
# Two numbers of couplings, three learning rates, two seeds: twelve trainings. A value that a
# setting does not allow is found here, before the first of them.

sweep = Sweep(settings, RECIPES[settings.model], Store(folder / "runs"))
print(len(sweep.points), "trainings, the last one:", sweep.points[-1].values)

# %%
# Train
# -----
#
# Each training is a job for a worker process, with its place in a queue. Here there is one worker;
# ``python -m flowlab.sweep sweep.toml`` starts as many as there are cores, and the page *Sweeps*
# shares them with everybody else.

train(sweep, workers=1)
print(sum(trained.run.complete for trained in sweep.state()), "are trained")

# %%
# Look
# ----
#
# For a grid of two settings the picture is a map, of the mean over the seeds. The frame marks the
# least KL.

figure = sweep.figure()
figure.set_label("A map of two rows, for one and for four couplings, and three columns of "
                 "learning rates. Each field has a colour and the KL; the least has a frame.")

# %%
# One coupling never gets there, at any rate: it cannot make two moons out of one hill. With more,
# the rate matters.
#
# Is it luck?
# -----------
#
# The table has every run. Before you believe a difference between two fields, look at how far the
# seeds of one field are apart.

of_seeds = defaultdict(list)
for row in csv.DictReader(io.StringIO(sweep.table())):
    of_seeds[row["couplings"], row["learning_rate"]].append(f"{float(row['kl_nats']):.3f}")
for (couplings, rate), kls in of_seeds.items():
    print(f"{couplings} couplings, rate {rate:9} KL of each seed", "  ".join(kls))

# %%
# Go on
# -----
#
# A run is known by its settings. Ask for more values, and only what is new has to be trained; a
# sweep that was stopped goes on in the same way, and a run that was broken off from its last
# checkpoint.

wider = settings.model_copy(update={"sweep": settings.sweep | {"couplings": (1, 4, 8)}})
wider = Sweep(wider, RECIPES[wider.model], sweep.store)
print(sum(trained.run is None for trained in wider.state()), "of", len(wider.points),
      "are left to train")

# %%
# With more than two settings a grid grows fast: five values of each of four are 625 trainings.
# ``search = "random"`` draws some of them instead, and the picture then has a line for each run,
# through its settings to its result. :doc:`/howto/keep-and-sweep` tells the rest.
