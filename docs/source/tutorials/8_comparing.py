"""
Comparing fairly
================

Which model is better? One training of each gives two numbers, and one of them is always lower. This
page asks whether the difference means anything.
"""

from flowlab.data import target
from flowlab.figures import ComparisonPicture, grid_points
from flowlab.studies.comparison import Comparison, finish, plan, table
from flowlab.studies.comparison.trial import GRID
from models import RECIPES

# %%
# The same for everyone
# ---------------------
#
# A comparison fixes what is the same: the distribution, the number of points, and a *budget*. Here
# every model gets 150 optimiser steps. Two entries are the same RealNVP, except for the activation
# of its networks.

comparison = Comparison.model_validate({
    "models": "nice:couplings=4:hidden=16,16:learning_rate=0.02:averaging=30;"
              "realnvp:couplings=4:hidden=16,16:learning_rate=0.02:averaging=30:label=RealNVP tanh;"
              "realnvp:couplings=4:hidden=16,16:learning_rate=0.02:averaging=30:activation=elu:"
              "label=RealNVP elu",
    "data": "moons", "budget": "steps", "amount": 150, "points": 2000, "seeds": 4,
})
labels = comparison.labels({"nice": "NICE"})

# %%
# `flowlab.studies.comparison.plan.plan` makes one training for each model, distribution and seed. A
# seed changes everything that is left to chance: which points are drawn, where the weights start,
# the order of the batches. All models with the same seed get the same points and are tested on the
# same 10,000 fresh ones.

trials = plan(comparison, RECIPES)
print(len(trials), "trainings, the first one:", trials[0].settings.training)

# %%
# The app runs them on all cores at once. Here they run one after the other.

looks, results = {}, {}
for trial in trials:
    key = trial.entry, trial.data, trial.seed
    (looks[key],), results[key] = finish(trial)

# %%
# One seed
# --------

for entry, label in enumerate(labels):
    print(f"{label:13} KL {results[entry, 'moons', 0].values['kl']:.3f} nats")

# %%
# One of the two RealNVPs is ahead. Would you bet on it? Look at the other seeds:

for entry, label in enumerate(labels):
    kls = [results[entry, "moons", seed].values["kl"] for seed in range(comparison.seeds)]
    print(f"{label:13}", "  ".join(f"{kl:.3f}" for kl in kls))

# %%
# Each model scatters. The scatter is the ruler: a difference that is small beside it means nothing.
#
# Several seeds
# -------------
#
# The table has means and their standard errors. A star marks a value only where it is better than
# that of *every* other model by more than the seeds' noise: by Welch's t-test, the difference of
# two means has to exceed its standard error times Student's t for 95 per cent. With few seeds t is
# large: 4.3 at two degrees of freedom, 2.4 at six. And with many columns, an occasional star is
# due to chance: decide beforehand which column counts.

print(table(comparison, results, labels).text())

# %%
# The picture shows the first seed's densities, and all seeds' curves: thick for the first.

truth = target("moons")
points = grid_points(truth.limits, GRID)
density = truth.log_prob(truth.sample(1).new_tensor(points)).exp().reshape(GRID, GRID)
picture = ComparisonPicture([truth.title], [truth.limits], [density.numpy()],
                        [truth.sample(500).numpy()], labels, ends=(comparison.amount, None))
for entry in range(len(labels)):
    of_seeds = [looks[entry, "moons", seed].curve for seed in range(comparison.seeds)]
    kl = results[entry, "moons", 0].values["kl"]
    picture.update(0, entry, density=looks[entry, "moons", 0].density, caption=f"KL {kl:.3f}",
                   curves=of_seeds)
picture.fit_axes()
figure = picture.figure
figure.set_label("The true density of the moons beside those of three models; below, their KL "
                 "falls with steps and with seconds of training.")

# %%
# Equal in what?
# --------------
#
# Steps are not the only budget. A model whose steps are cheap may be behind after 150 of them and
# ahead after a second, and one with more parameters may win only because it has more. So a
# comparison can also be equal in epochs, in seconds, and in the number of parameters: then the
# networks' widths are chosen to fit.

sized = comparison.model_copy(update={"parameters": 5_000})
for label, trial in zip(labels, plan(sized, RECIPES), strict=False):
    size = sum(p.numel() for p in RECIPES[trial.settings.model].model(
        **dict(trial.settings.flow)).parameters())
    print(f"{label:13} hidden layers of {trial.settings.flow.hidden}: {size:,} parameters")

# %%
# A fair comparison, in short:
#
# - say what is equal, and why that is the budget that matters to you;
# - give every model a sensible learning rate: a rate tuned for one is a handicap for the others;
# - repeat with several seeds, and show the error beside the mean;
# - test on points that no model has seen;
# - believe timings only from one machine, with nothing else running on it.
#
# The page *Compare* and ``python -m flowlab.comparison`` do all this in one go.
