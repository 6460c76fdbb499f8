"""Lessons on the models' pages: each sets the controls and says what to do, to look at, and why.

What a text says of a training stands in it by name, and is measured: ``make lessons`` trains every
lesson and writes the numbers, `flowlab.ui.controls.presets` puts them into the texts.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Where the measured numbers are.
FILE = Path(__file__).with_suffix(".json")


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
        The lesson (Markdown). ``{first.kl:.2f}`` is the KL that the training ``first`` reached.
    trainings : dict
        The trainings that the lesson is about, by name: each what differs from `settings`, or from
        the defaults of another model where it names one. The first is that of `settings`.
    """

    name: str
    model: str
    title: str
    settings: dict[str, Any] = field(hash=False)
    do: str
    look: str
    why: str
    trainings: dict[str, dict[str, Any]] = field(hash=False)

    def training(self, name: str) -> tuple[str, dict[str, Any]]:
        """The model of one of the lesson's trainings, and its settings."""
        change = dict(self.trainings[name])
        if "model" in change:
            return change.pop("model"), change
        return self.model, {**self.settings, **change}


#: The settings of most lessons: little to compute, and kinks that show where networks bend.
NETWORK = {"activation": "relu", "learning_rate": 5e-3}
NICE = {**NETWORK, "couplings": 8}
REALNVP = {**NICE, "scale_bound": 2.0}
GLOW = {**NETWORK, "steps": 8, "scale_bound": 2.0}

TEMPLATES = (
    Preset(
        "volume", "nice", "Why NICE cannot change volume",
        {**NICE, "data": "uniform_square"},
        "Train. Then open RealNVP's page, choose *Uniform square* and train there.",
        "The learned density has a peak and a halo, where the true one is flat. KL to the truth: "
        "**{nice.kl:.2f} nats** with NICE, **{realnvp.kl:.2f}** with RealNVP.",
        "Additive couplings only shift, and the scaling stretches each axis by one factor, the "
        "same everywhere. The flow can move the base distribution's hill elsewhere, but never "
        "flatten it.",
        {"nice": {}, "realnvp": {"model": "realnvp", "data": "uniform_square"}}),
    Preset(
        "base", "nice", "The base distribution shows through",
        {**NICE, "data": "gaussian", "epochs": 30},
        "Train. Then set Base distribution to *Normal* and train again.",
        "With the logistic base the samples stray farther out, and the KL stays at "
        "**{logistic.kl:.3f} nats**; with the normal one it falls to **{normal.kl:.3f}**.",
        "NICE keeps the base's values of density, its long tails among them. Only the base that "
        "the data have too can be matched exactly.",
        {"logistic": {}, "normal": {"base": "normal"}}),
    Preset(
        "one-coupling", "realnvp", "What one coupling can do",
        {**REALNVP, "couplings": 1, "data": "banana"},
        "Train. Then choose the *Two moons* and train again; then with 4 and 8 couplings.",
        "One coupling is enough for the banana: a KL of **{banana.kl:.3f} nats**. On the moons it "
        "stays at **{moons1.kl:.2f}**, and falls to **{moons4.kl:.2f}** with 4 and "
        "**{moons8.kl:.2f}** with 8.",
        "One coupling leaves x as it was drawn, and gives y a mean and a width for each x: every "
        "vertical slice is one Gaussian. The banana is made so; the moons have two in a slice.",
        {"banana": {}, "moons1": {"data": "moons"}, "moons4": {"data": "moons", "couplings": 4},
         "moons8": {"data": "moons", "couplings": 8}}),
    Preset(
        "masks", "realnvp", "Why masks alternate",
        {**REALNVP, "masks": "fixed"},
        "Train: 8 couplings that all change the same half. Then set Masks to *Alternating* and "
        "train again.",
        "With fixed masks the KL stays at **{fixed.kl:.2f} nats**; alternating it falls to "
        "**{alternating.kl:.2f}**. The samples' x has one hump, where the moons' has not.",
        "A coupling changes one half, given the other. If it is always the same half, the other "
        "comes out as it went in, however many couplings there are.",
        {"fixed": {}, "alternating": {"masks": "alternating"}}),
    Preset(
        "bridges", "realnvp", "Bridges between islands",
        {**REALNVP, "data": "eight_gaussians", "epochs": 60},
        "Train and look at the learned density between the eight islands.",
        "Thin bridges join the islands: **{flow.between:.1%}** of the samples lie farther than 4 "
        "standard deviations from every island, where the data have next to none. The KL is still "
        "**{flow.kl:.2f} nats** at the end.",
        "A flow is continuous both ways, so it cannot cut the one hill of the base into eight "
        "pieces. It can only stretch what is between them until it is thin.",
        {"flow": {}}),
    Preset(
        "exploding", "realnvp", "Exploding log-scales",
        {**REALNVP, "couplings": 16, "scale_bound": 10.0, "learning_rate": 0.01,
         "schedule": "constant", "clip": 0.0, "epochs": 20},
        "Train. Then set Log-scale bound to 1 and train again; then go back to the defaults.",
        "With bound 10 the loss becomes infinite **in the first epoch** and the lab stops. With "
        "bound 1 the same rash training stays finite, at a KL of "
        "**{bounded.kl:.1f} nats**; the defaults, with their schedule and clipping, reach "
        "**{defaults.kl:.2f}**.",
        "A coupling stretches by up to *e* to the power of the bound: 22,026 times at 10, 2.7 "
        "times at 1. Sixteen in a row multiply their factors: one bad step is enough for "
        "overflow.",
        {"rash": {}, "bounded": {"scale_bound": 1.0}, "defaults": {"model": "realnvp"}}),
    Preset(
        "mixing", "glow", "What the learned matrix is for",
        {**GLOW, "steps": 2, "data": "stripes", "mixing": "fixed", "epochs": 20},
        "Train: 2 steps whose couplings move along one axis each. Then set Mixing to *Learned* and "
        "train again; then both with Seed 1.",
        "With fixed halves the stripes run into each other: a KL of **{fixed.kl:.2f} nats**, and "
        "**{learned.kl:.2f}** with the matrix; with seed 1 **{fixed1.kl:.2f}** and "
        "**{learned1.kl:.2f}**. *Through the flow* shows how the matrix turns the plane.",
        "The stripes lie across both axes, and a coupling moves along one axis only. The matrix "
        "turns them to where one coupling can pull them apart. Fixed halves have to put every "
        "turn together from moves along the axes.",
        {"fixed": {}, "learned": {"mixing": "learned"}, "fixed1": {"seed": 1},
         "learned1": {"seed": 1, "mixing": "learned"}}),
    Preset(
        "few-steps", "glow", "Few steps, with and without the matrix",
        {**GLOW, "steps": 4, "mixing": "fixed", "epochs": 20},
        "Train: 4 steps with fixed halves on the moons. Then set Mixing to *Learned* and train "
        "again; then compare both with 8 steps.",
        "With 4 steps the KL is **{fixed4.kl:.2f} nats** with fixed halves and "
        "**{learned4.kl:.2f}** with the matrix; with 8 steps **{fixed8.kl:.2f}** and "
        "**{learned8.kl:.2f}**.",
        "With few steps it matters along which directions they act, and the matrix lets each step "
        "choose. With many steps every direction gets its turn, and there is less to gain.",
        {"fixed4": {}, "learned4": {"mixing": "learned"}, "fixed8": {"steps": 8},
         "learned8": {"steps": 8, "mixing": "learned"}}),
    Preset(
        "actnorm", "glow", "ActNorm against none",
        {**GLOW, "steps": 24, "data": "pinwheel", "epochs": 6, "learning_rate": 0.01,
         "averaging": 1},
        "Train. Then set Normalisation to *None* and train again; then both with Seed 1.",
        "A KL of **{actnorm.kl:.2f} nats** with ActNorm and **{none.kl:.2f}** without; with seed 1 "
        "**{actnorm1.kl:.2f}** and **{none1.kl:.2f}**. Before you say which is better, look how "
        "far one and the same setting differs between two seeds.",
        "ActNorm makes each step's input start with mean 0 and variance 1. Here the lab has "
        "standardised the data before, and couplings start near the identity: little is left to "
        "repair. It was made for deep image models, whose batches are too small for batch norm.",
        {"actnorm": {}, "none": {"normalisation": "none"}, "actnorm1": {"seed": 1},
         "none1": {"normalisation": "none", "seed": 1}}),
    Preset(
        "reverse", "realnvp", "Cover all modes, or seek a few",
        {**REALNVP, "data": "eight_gaussians", "objective": "reverse"},
        "Train. Then set Objective to *Forward KL* and train again.",
        "Reverse KL puts the samples on **{reverse.visited} of the 8 islands** (others with "
        "another seed), and the test NLL is **{reverse.test_nll:,.0f} nats**. Forward KL covers "
        "**{forward.visited}**, with a test NLL of **{forward.test_nll:.2f}**.",
        "Forward KL punishes density that is missing where data are: cover everything. Reverse KL "
        "punishes samples where the truth has none, and never asks for the islands it has not "
        "visited.",
        {"reverse": {}, "forward": {"objective": "forward"}}),
    Preset(
        "overfitting", "realnvp", "Learning 100 points by heart",
        {**REALNVP, "points": 125, "batch_size": 100, "epochs": 600},
        "Train: 100 points to learn from, and 25 that are held out.",
        "The training NLL falls to **{flow.train_nll:.1f} nats**, far below the best possible "
        "value, while the test NLL turns after **{flow.turn} epochs** and rises to "
        "**{flow.test_nll:.0f} nats**. The density shrinks onto the points.",
        "Likelihood on the training points has no upper end: ever narrower peaks are ever better. "
        "Only held-out points tell. Early stop, or more points, is the cure.",
        {"flow": {}}),
)
