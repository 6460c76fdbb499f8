"""The lessons of NICE's page."""

from flowlab.training.lessons import Preset

#: What most lessons set: little to compute, and kinks that show where networks bend.
SMALL = {"activation": "relu", "learning_rate": 5e-3, "couplings": 8}

LESSONS = (
    Preset(
        "volume", "nice", "Why NICE cannot change volume",
        {**SMALL, "data": "uniform_square"},
        "Train. Then open RealNVP's page, choose *Uniform square* and train there.",
        "The learned density has a peak and a halo, where the true one is flat. KL to the truth: "
        "**{nice.kl:.2f} nats** with NICE, **{realnvp.kl:.2f}** with RealNVP.",
        "Additive couplings only shift, and the scaling stretches each axis by one factor, the "
        "same everywhere. The flow can move the base distribution's hill elsewhere, but never "
        "flatten it.",
        {"nice": {}, "realnvp": {"model": "realnvp", "data": "uniform_square"}}),
    Preset(
        "base", "nice", "The base distribution shows through",
        {**SMALL, "data": "gaussian", "epochs": 30},
        "Train. Then set Base distribution to *Normal* and train again.",
        "With the logistic base the samples stray farther out, and the KL stays at "
        "**{logistic.kl:.3f} nats**; with the normal one it falls to **{normal.kl:.3f}**.",
        "NICE keeps the base's values of density, its long tails among them. Only the base that "
        "the data have too can be matched exactly.",
        {"logistic": {}, "normal": {"base": "normal"}}),
)
