"""The lessons of RealNVP's page."""

from flowlab.training.lessons import Preset

#: What most lessons set: little to compute, and kinks that show where networks bend.
SMALL = {"activation": "relu", "learning_rate": 5e-3, "couplings": 8, "scale_bound": 2.0}

LESSONS = (
    Preset(
        "one-coupling", "realnvp", "What one coupling can do",
        {**SMALL, "couplings": 1, "data": "banana"},
        "Train one coupling on the banana. Then train one, four and eight on the two moons.",
        "Which of the two can a single coupling learn?",
        ("Both", "Only the banana", "Only the moons"),
        "One coupling is enough for the banana: a KL of **{banana.kl:.3f} nats**. On the moons it "
        "stays at **{moons1.kl:.2f}**, and falls to **{moons4.kl:.2f}** with 4 and "
        "**{moons8.kl:.2f}** with 8.",
        "One coupling leaves x as it was drawn, and gives y a mean and a width for each x: every "
        "vertical slice is one Gaussian. The banana is made that way; the moons have two in a "
        "slice.",
        {"moons1": "Moons, 1 coupling", "moons4": "4 couplings", "moons8": "8 couplings"},
        {"banana": {}, "moons1": {"data": "moons"}, "moons4": {"data": "moons", "couplings": 4},
         "moons8": {"data": "moons", "couplings": 8}}),
    Preset(
        "masks", "realnvp", "Why masks alternate",
        {**SMALL, "masks": "fixed"},
        "Train: all 8 couplings change the same half. Then let them take turns.",
        "Eight couplings are many, but all of them change y and keep x. Are they enough for the "
        "moons?",
        ("Yes, eight are plenty", "No, x stays as it was", "Nearly, with more epochs"),
        "With fixed masks the KL stays at **{fixed.kl:.2f} nats**; alternating it falls to "
        "**{alternating.kl:.2f}**. The samples' x has one hump, unlike the moons'.",
        "A coupling changes one half, given the other. If it is always the same half, the other "
        "comes out as it went in, however many couplings there are.",
        {"alternating": "Alternating masks"},
        {"fixed": {}, "alternating": {"masks": "alternating"}}),
    Preset(
        "bridges", "realnvp", "Bridges between islands",
        {**SMALL, "data": "eight_gaussians", "epochs": 60},
        "Train, and look at the learned density between the eight islands. Then train twice as "
        "many couplings.",
        "The islands are far apart. What will be between them?",
        ("Nothing", "Thin bridges", "A ring"),
        "Thin bridges join the islands: **{flow.between:.1%}** of the samples lie farther than 4 "
        "standard deviations from every island, where the data have next to none. With 16 "
        "couplings they are **{sixteen.between:.1%}**. The KL ends at **{flow.kl:.2f}** and "
        "**{sixteen.kl:.2f} nats**.",
        "A flow is continuous both ways, so it cannot cut the one hill of the base into eight "
        "pieces. It can only stretch what is between them until it is thin.",
        {"sixteen": "16 couplings"},
        {"flow": {}, "sixteen": {"couplings": 16}}),
    Preset(
        "exploding", "realnvp", "Exploding log-scales",
        {**SMALL, "couplings": 16, "scale_bound": 10.0, "learning_rate": 0.01,
         "schedule": "constant", "clip": 0.0, "epochs": 20},
        "Train with a log-scale bound of 10. Then train with bound 1, and then with the defaults.",
        "Sixteen couplings, each of which may stretch 22,026 times, at a high learning rate. What"
        " will happen?",
        ("It learns faster", "The loss is bumpy", "It breaks"),
        "With bound 10 the loss becomes infinite **in the first epoch** and the lab stops. With "
        "bound 1 the same reckless training stays finite, at a KL of "
        "**{bounded.kl:.1f} nats**; the defaults, with their schedule and clipping, reach "
        "**{defaults.kl:.2f}**.",
        "A coupling stretches by up to *e* to the power of the bound: 22,026 times at 10, 2.7 "
        "times at 1. Sixteen in a row multiply their factors: one bad step is enough for "
        "overflow.",
        {"bounded": "Bound 1", "defaults": "The defaults"},
        {"rash": {}, "bounded": {"scale_bound": 1.0}, "defaults": {"model": "realnvp"}}),
    Preset(
        "reverse", "realnvp", "Cover all modes, or seek a few",
        {**SMALL, "data": "eight_gaussians", "objective": "reverse"},
        "Train with reverse KL. Then train with forward KL.",
        "Reverse KL asks only that samples are where the true density is high. How many of the 8 "
        "islands will they be on?",
        ("All 8", "About half", "One or two"),
        "Reverse KL puts the samples on **{reverse.visited} of the 8 islands** (others with "
        "another seed), and the test NLL is **{reverse.test_nll:,.0f} nats**. Forward KL covers "
        "**{forward.visited}**, with a test NLL of **{forward.test_nll:.2f}**.",
        "Forward KL punishes density that is missing where data are: cover everything. Reverse KL "
        "punishes samples where the truth has none, and never asks for the islands it has not "
        "visited.",
        {"forward": "Forward KL"},
        {"reverse": {}, "forward": {"objective": "forward"}}),
    Preset(
        "overfitting", "realnvp", "Memorising 100 points",
        {**SMALL, "points": 125, "batch_size": 100, "epochs": 600},
        "Train on 100 points; 25 more are held out. Then train on 4000.",
        "600 epochs on 100 points. What will the two curves do?",
        ("Both fall", "Both level off", "One falls, one rises"),
        "The training NLL falls to **{flow.train_nll:.1f} nats**, far below the best possible "
        "value, while the test NLL turns after **{flow.turn} epochs** and rises to "
        "**{flow.test_nll:.0f} nats**. The density shrinks onto the points. With 4000 points the"
        " test NLL ends at **{more.test_nll:.2f}** and the training NLL at "
        "**{more.train_nll:.2f}**.",
        "Likelihood on the training points has no upper limit: narrower peaks are always "
        "better. Only held-out points show it. Early stopping, or more points, is the cure.",
        {"more": "5000 points"},
        {"flow": {}, "more": {"points": 5000, "epochs": 60}}),
)
