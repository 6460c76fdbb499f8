"""The lessons of Spline's page."""

from flowlab.training.lessons import Preset

LESSONS = (
    Preset(
        "two-humps", "spline", "One coupling, two humps in a slice",
        {"couplings": 1, "mixing": "fixed", "data": "moons", "epochs": 20},
        "Train: a single coupling. Then train a single RealNVP coupling. In both, choose *Through "
        "the flow*, pass the coupling, and click several points of the plane.",
        "The moons have two humps in a vertical slice. Can a single coupling learn them?",
        ("No, no coupling can", "With a spline it can", "Both can"),
        "KL to the truth: **{spline.kl:.2f} nats** with the spline, **{affine.kl:.2f}** with the "
        "straight line. Vertical slices through the learned density have two humps, where "
        "RealNVP's have one. In the small picture the curve has two flat pieces, with a steep one "
        "between.",
        "A coupling leaves x as it was, and maps the one hump of y in a slice. A line moves it "
        "and changes its width. A curve gathers points where it is flat and spreads them where it "
        "is steep: two flat pieces make two humps. What is left of the KL is in x, which this "
        "coupling never changes.",
        {"affine": "RealNVP's coupling"},
        {"spline": {}, "affine": {"model": "realnvp", "couplings": 1, "epochs": 20}}),
    Preset(
        "bins", "spline", "Bins against couplings",
        {"data": "checkerboard", "couplings": 2, "bins": 4, "epochs": 20},
        "Train: 2 couplings with 4 bins. Then train 2 with 32 bins; then 8 with 4 bins.",
        "Which of the two helps more on the checkerboard: more bins, or more couplings?",
        ("More bins", "More couplings", "The same"),
        "KL to the truth: **{few.kl:.2f} nats** with 2 couplings and 4 bins, **{bins.kl:.2f}** "
        "with 32 bins, and **{deep.kl:.2f}** with 8 couplings of 4 bins.",
        "More bins make the curve of one coupling finer; more couplings look at the plane from "
        "more sides, one after the other, and their curves act on each other's results.",
        {"bins": "32 bins", "deep": "8 couplings"},
        {"few": {}, "bins": {"bins": 32}, "deep": {"couplings": 8}}),
    Preset(
        "four-models", "spline", "25 islands, four models",
        {"data": "grid_gaussians"},
        "Train. Then train the other models on the same islands, or let *Compare* train all four.",
        "Which models can make so many islands out of one hill?",
        ("All of them", "Splines best", "None"),
        "KL to the truth: **{spline.kl:.2f} nats** with splines, **{glow.kl:.2f}** with Glow, "
        "**{realnvp.kl:.2f}** with RealNVP, **{nice.kl:.2f}** with NICE. Of their samples "
        "**{spline.between:.1%}**, {glow.between:.1%}, {realnvp.between:.1%} and "
        "{nice.between:.1%} are between the islands.",
        "Shifts and straight lines have to make many islands out of one hill by many small moves. "
        "A curve splits a hill into five at once, in each direction. It is still a continuous map, "
        "so thin bridges remain.",
        {"glow": "Glow", "realnvp": "RealNVP", "nice": "NICE"},
        {"spline": {}, "glow": {"model": "glow", "data": "grid_gaussians"},
         "realnvp": {"model": "realnvp", "data": "grid_gaussians"},
         "nice": {"model": "nice", "data": "grid_gaussians"}}),
)
