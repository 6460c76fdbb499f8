"""The lessons of Glow's page."""

from flowlab.training.lessons import Preset

#: What most lessons set: little to compute, and kinks that show where networks bend.
SMALL = {"activation": "relu", "learning_rate": 5e-3, "steps": 8, "scale_bound": 2.0}

LESSONS = (
    Preset(
        "mixing", "glow", "What the learned matrix is for",
        {**SMALL, "steps": 2, "data": "stripes", "mixing": "fixed", "epochs": 20},
        "Train: 2 steps whose couplings move along one axis each. Then train with the learned "
        "matrix; then both with another seed.",
        "The stripes lie across both axes. Can two moves, one along each axis, separate them?",
        ("Yes", "Only nearly", "No"),
        "With fixed halves the stripes run into each other: a KL of **{fixed.kl:.2f} nats**, and "
        "**{learned.kl:.2f}** with the matrix; with seed 1 **{fixed1.kl:.2f}** and "
        "**{learned1.kl:.2f}**. *Through the flow* shows how the matrix turns the plane.",
        "The stripes lie across both axes, and a coupling moves along one axis only. The matrix "
        "turns them to where one coupling can pull them apart. Fixed halves have to compose every "
        "rotation of moves along the axes.",
        {"learned": "Learned matrix", "fixed1": "Fixed, seed 1", "learned1": "Learned, seed 1"},
        {"fixed": {}, "learned": {"mixing": "learned"}, "fixed1": {"seed": 1},
         "learned1": {"seed": 1, "mixing": "learned"}}),
    Preset(
        "few-steps", "glow", "Few steps, with and without the matrix",
        {**SMALL, "steps": 4, "mixing": "fixed", "epochs": 20},
        "Train 4 steps with fixed halves. Then train 4 with the matrix; then compare both with 8 "
        "steps.",
        "Does the matrix help more with few steps, or with many?",
        ("With few", "With many", "The same"),
        "With 4 steps the KL is **{fixed4.kl:.2f} nats** with fixed halves and "
        "**{learned4.kl:.2f}** with the matrix; with 8 steps **{fixed8.kl:.2f}** and "
        "**{learned8.kl:.2f}**.",
        "With few steps it matters along which directions they act, and the matrix lets each step "
        "choose. With many steps every direction gets its turn, and there is less to gain.",
        {"learned4": "Learned matrix", "fixed8": "8 steps, fixed", "learned8": "8 steps, learned"},
        {"fixed4": {}, "learned4": {"mixing": "learned"}, "fixed8": {"steps": 8},
         "learned8": {"steps": 8, "mixing": "learned"}}),
    Preset(
        "actnorm", "glow", "ActNorm or none",
        {**SMALL, "steps": 24, "data": "pinwheel", "epochs": 6, "learning_rate": 0.01,
         "averaging": 1},
        "Train with ActNorm. Then train without; then both with another seed.",
        "24 steps without any normalisation, on data that are standardised. What will happen?",
        ("It breaks", "It is worse", "Hard to tell"),
        "A KL of **{actnorm.kl:.2f} nats** with ActNorm and **{none.kl:.2f}** without; with seed 1 "
        "**{actnorm1.kl:.2f}** and **{none1.kl:.2f}**. Before you decide which is better, look at "
        "how much the same setting differs between two seeds.",
        "ActNorm makes each step's input start with mean 0 and variance 1. Here the lab has "
        "standardised the data before, and couplings start near the identity: little is left to "
        "repair. It was made for deep image models, whose batches are too small for batch norm.",
        {"none": "None", "actnorm1": "ActNorm, seed 1", "none1": "None, seed 1"},
        {"actnorm": {}, "none": {"normalisation": "none"}, "actnorm1": {"seed": 1},
         "none1": {"normalisation": "none", "seed": 1}}),
    Preset(
        "classes", "glow", "Drawing a digit on request",
        {"data": "digits", "epochs": 30, "batch_size": 128, "steps": 8},
        "Train on all digits at once. Then give the flow the class of every image.",
        "Once the flow knows the digit that an image shows, what changes?",
        ("Far fewer bits", "You can ask for a digit", "Nothing"),
        "**{all.bits:.2f} bits per dimension** without classes, **{each.bits:.2f}** with them, and "
        "*Samples* now has a row of digits to choose from.",
        "A class out of 10 is 3.32 bits, or 0.05 for each of 64 pixels: no model can save more by "
        "knowing it. Beyond that, the task becomes easier: ten clusters have to be pulled apart by "
        "one continuous map, but with the class given each is a cloud of its own.",
        {"each": "With classes"},
        {"all": {}, "each": {"classes": 10}}),
)
