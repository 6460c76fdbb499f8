"""The lessons of NICE's page."""

from flowlab.training.lessons import Preset

#: What most lessons set: little to compute, and kinks that show where networks bend.
SMALL = {"activation": "relu", "learning_rate": 5e-3, "couplings": 8}

LESSONS = (
    Preset(
        "volume", "nice", "Why NICE cannot change volume",
        {**SMALL, "data": "uniform_square"},
        "Train NICE on the square. Then train RealNVP on it.",
        "The true density is flat, with a sharp edge. What will NICE learn?",
        ("A flat square", "A hill in a square", "It depends on the epochs"),
        "The learned density has a peak and a halo, where the true one is flat. KL to the truth: "
        "**{nice.kl:.2f} nats** with NICE, **{realnvp.kl:.2f}** with RealNVP.",
        "Additive couplings only shift, and the scaling stretches each axis by one factor, the "
        "same everywhere. The flow can move the base distribution's hill elsewhere, but never "
        "flatten it.",
        {"realnvp": "RealNVP on the square"},
        {"nice": {}, "realnvp": {"model": "realnvp", "data": "uniform_square"}}),
    Preset(
        "base", "nice", "The base distribution shows through",
        {**SMALL, "data": "gaussian", "epochs": 30},
        "Train with the logistic base. Then train with the normal one.",
        "The data are one Gaussian. Does it matter which base distribution the flow starts from?",
        ("No, couplings make up for it", "Yes, it shows"),
        "With the logistic base the samples stray farther out, and the KL stays at "
        "**{logistic.kl:.3f} nats**; with the normal one it falls to **{normal.kl:.3f}**.",
        "NICE keeps the density values of its base, including the long tails. It can match data "
        "exactly only where they have the same shape as the base.",
        {"normal": "A normal base"},
        {"logistic": {}, "normal": {"base": "normal"}}),
)
