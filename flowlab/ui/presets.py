"""Experiments to choose from: each sets the controls and says what to do, to look at, and why.

Their numbers were measured with these settings on one CPU thread.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Preset:
    """One experiment.

    Attributes
    ----------
    name : str
        Its name in a URL.
    model : str
        The model whose page it belongs to.
    title : str
    settings : dict
        What differs from the model's defaults.
    do, look, why : str
        The lesson (Markdown).
    """

    name: str
    model: str
    title: str
    settings: dict[str, Any] = field(hash=False)
    do: str
    look: str
    why: str


#: What the lessons' numbers were measured with, where a lesson does not say otherwise.
NETWORK = {"activation": "relu", "learning_rate": 5e-3}
NICE = {**NETWORK, "couplings": 8}
REALNVP = {**NICE, "scale_bound": 2.0}
GLOW = {**NETWORK, "steps": 8, "scale_bound": 2.0}

PRESETS = (
    Preset(
        "volume", "nice", "Why NICE cannot change volume",
        {**NICE, "data": "uniform_square", "epochs": 40},
        "Train. Then do the same on RealNVP's page: data *Uniform square*, 40 epochs.",
        "The learned density has a peak and a halo, where the true one is flat. KL to the truth: "
        "about **0.37 nats** with NICE, **0.03** with RealNVP.",
        "Additive couplings only shift, so volume is the same before and after. The flow can move "
        "the base distribution's hill elsewhere, but never flatten it."),
    Preset(
        "base", "nice", "The base distribution shows through",
        {**NICE, "data": "gaussian", "epochs": 30},
        "Train. Then set Base distribution to *Normal* and train again.",
        "With the logistic base the samples stray farther out, and the KL stays near "
        "**0.016 nats**; with the normal one it falls to **0.001**.",
        "NICE keeps the base's values of density, its long tails among them. Only the base that "
        "the data have too can be matched exactly."),
    Preset(
        "one-coupling", "realnvp", "What one coupling can do",
        {**REALNVP, "couplings": 1, "data": "banana", "epochs": 40},
        "Train. Then choose the *Two moons* and train again; then with 4 and 8 couplings.",
        "One coupling is enough for the banana: KL below **0.01 nats**. On the moons it stays at "
        "**0.88**, and falls to **0.15** with four and **0.03** with eight.",
        "One coupling leaves x as it was drawn, and gives y a mean and a width for each x: every "
        "vertical slice is one Gaussian. The banana is made so; the moons have two in a slice."),
    Preset(
        "masks", "realnvp", "Why masks alternate",
        {**REALNVP, "masks": "fixed", "epochs": 40},
        "Train: eight couplings that all change the same half. Then set Masks to *Alternating* "
        "and train again.",
        "With fixed masks the KL stays at **0.86 nats**, as with one coupling; alternating it "
        "falls to **0.03**. The samples' x has one hump, where the moons' has not.",
        "A coupling changes one half, given the other. If it is always the same half, the other "
        "comes out as it went in, however many couplings there are."),
    Preset(
        "bridges", "realnvp", "Bridges between islands",
        {**REALNVP, "data": "eight_gaussians", "epochs": 60},
        "Train and look at the learned density between the eight islands.",
        "Thin bridges join the islands: about 2 % of the samples lie on them. The KL is still "
        "**0.16 nats** at the end.",
        "A flow is continuous both ways, so it cannot cut the one hill of the base into eight "
        "pieces. It can only stretch what is between them until it is thin."),
    Preset(
        "exploding", "realnvp", "Exploding log-scales",
        {**REALNVP, "couplings": 16, "scale_bound": 10.0, "learning_rate": 0.01,
         "schedule": "constant", "clip": 0.0, "epochs": 20},
        "Train. Then set Log-scale bound to 1 and train again; then go back to the defaults.",
        "With bound 10 the loss becomes infinite **in the first epoch** and the lab stops. With "
        "bound 1 the same rash training stays finite, at a KL of **a few nats**; the defaults, "
        "with their schedule and clipping, reach 0.01.",
        "A coupling stretches by up to *e* to the power of the bound: 22,026 times at 10, 2.7 "
        "times at 1. Sixteen in a row multiply their factors: one bad step is enough for "
        "overflow."),
    Preset(
        "actnorm", "glow", "ActNorm against none",
        {**GLOW, "steps": 24, "data": "pinwheel", "epochs": 6, "learning_rate": 0.01,
         "averaging": 1},
        "Train. Then set Normalisation to *None* and train again.",
        "Hardly any difference: a KL near **0.1 nats** both times.",
        "ActNorm makes each step's input start with mean 0 and variance 1. Here the lab has "
        "standardised the data before, and couplings start near the identity: nothing is left to "
        "repair. It was made for deep image models, whose batches are too small for batch norm."),
    Preset(
        "reverse", "realnvp", "Cover all modes, or seek a few",
        {**REALNVP, "data": "eight_gaussians", "objective": "reverse", "epochs": 40},
        "Train. Then set Objective to *Forward KL* and train again.",
        "Reverse KL puts all samples on **three of the eight islands** (others with another seed), "
        "and the test NLL is enormous. Forward KL covers all eight.",
        "Forward KL punishes density that is missing where data are: cover everything. Reverse KL "
        "punishes samples where the truth has none, and never asks for the islands it has not "
        "visited."),
    Preset(
        "overfitting", "realnvp", "Learning 100 points by heart",
        {**REALNVP, "points": 125, "batch_size": 100, "epochs": 600},
        "Train: 100 points to learn from, 25 kept aside.",
        "The training NLL falls far below the best possible value, while the test NLL turns after "
        "about 160 epochs and rises past **20 nats**. The density shrinks onto the points.",
        "Likelihood on the training points has no upper end: ever narrower peaks are ever better. "
        "Only points kept aside tell. Early stop, or more points, is the cure."),
)

BY_NAME = {preset.name: preset for preset in PRESETS}
