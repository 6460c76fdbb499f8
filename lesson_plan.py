"""A lesson of 45 minutes: the page Teach and the documentation both show it from here.

Texts are Markdown, with measured numbers in braces, see `flowlab.ui.teach.plan`.
"""

from flowlab.ui.teach.plan import Link, Step

#: What the class should know afterwards.
GOALS = (
    "a flow is an invertible map from a simple cloud to data, so it draws samples *and* gives "
    "densities;",
    "a coupling keeps one half, and moves and stretches the other, so it can be undone;",
    "a loss has a best possible value, and the KL is a model's distance from it;",
    "what a model cannot represent, no training can teach it.",
)

STEPS = (
    Step(
        (0, 7), "What is a flow?",
        "Show the first page, and let the film run. *What happens to a point? What happens to the "
        "grid?* Then stop it with **Animate pictures**, and go through *Stretching thins out*.",
        (Link("The first page"),),
        (("When a cloud of points is stretched to twice its width, how high is the density then?",
          "Half as high. That is the whole change of variables; [the theory](theory/flows) has it "
          "as an equation."),)),
    Step(
        (7, 14), "Watch one learn",
        "Everything is set; there is nothing to press but **Train**.",
        (Link("Watch a flow learn", "realnvp", {"epochs": "30"}, lesson={
            "hide": "data,model,network,training", "title": "Watch a flow learn",
            "task": "Press Train. Which picture shows what the flow has learned, and which the "
                    "truth? What is the dashed line under the loss? When it has ended, drag Moment "
                    "of the training back to the start and watch the samples."}),),
        (("What is the dashed line?",
          "The loss that the true density has on the same test points, an estimate of the entropy "
          "of the data: on average no model has a lower loss."),
         ("What is the KL?",
          "The distance between the test loss and that line, exactly; 0 would be "
          "perfect."))),
    Step(
        (14, 23), "What one layer can do",
        "The class guesses first, and then finds out. The page says what to do.",
        (Link("How many couplings does it take?", "realnvp", preset="one-coupling", lesson={
            "hide": "network,training", "title": "How many couplings does it take?",
            "task": "First guess: which of banana and two moons can a single coupling learn? Then "
                    "follow Do below. Write down the KL for 1, 4 and 8 couplings on the moons."}),),
        (("What should they have?",
          "On the moons a KL of {one-coupling.moons1.kl:.2f} nats with one coupling, "
          "{one-coupling.moons4.kl:.2f} with four, {one-coupling.moons8.kl:.2f} with eight; on the "
          "banana {one-coupling.banana.kl:.3f} with one."),
         ("Why the banana and not the moons?",
          "Cut both pictures along a vertical line. One coupling gives every such slice one "
          "Gaussian hump; the banana has one in a slice, the moons have two."))),
    Step(
        (23, 32), "Moving is not stretching",
        "Half of the class takes NICE, the other half RealNVP, on the same square of uniform "
        "density. Then they compare what they see. The third link is for everyone.",
        (Link("Half of the class: NICE", "nice", preset="volume", lesson={
            "lock": "data,model,network,training", "title": "The square, with NICE",
            "task": "Train. Where is the learned density too high, where too low? Compare with "
                    "your neighbour's RealNVP."}),
         Link("The other half: RealNVP", "realnvp", {"data": "uniform_square"}, lesson={
             "lock": "data,model,network,training", "title": "The square, with RealNVP",
             "task": "Train. Is the learned density even? Compare with your neighbour's NICE."}),
         Link("A curve instead of a line", "spline", preset="two-humps", lesson={
             "hide": "network,training", "title": "A curve instead of a line",
             "task": "Train. How many humps does a vertical slice have? Then choose Through the "
                     "flow, pass the coupling, and click points of the plane: where is the curve "
                     "flat, where steep?"})),
        (("What should they have?",
          "A KL of {volume.nice.kl:.2f} nats with NICE and {volume.realnvp.kl:.2f} with RealNVP."),
         ("Why can longer training not help NICE?",
          "Its couplings only shift, and its scaling stretches each axis by one factor, the same "
          "everywhere. So the hill of the base distribution can be moved elsewhere, but never be "
          "flattened. The [tutorial on volume](generated/tutorials/3_volume) shows the same in "
          "numbers."),
         ("And what can RealNVP not do?",
          "Split one hill into many: a straight line leaves a slice with its one hump. One "
          "coupling of a spline flow has a curve instead of the line, and "
          "{two-humps.spline.kl:.2f} nats on the moons, where one affine coupling has "
          "{two-humps.affine.kl:.2f}. Show it with **Through the flow**, which draws the curve. On "
          "25 islands a whole spline flow reaches {four-models.spline.kl:.2f}, Glow "
          "{four-models.glow.kl:.2f}, RealNVP {four-models.realnvp.kl:.2f} and NICE "
          "{four-models.nice.kl:.2f}."))),
    Step(
        (32, 41), "A contest",
        "In groups. The data and the training are locked; the model is theirs. The lowest KL wins. "
        "A group that finishes early opens the page from the menu, and learns a drawing: **Own "
        "data** under the pictures of the distributions. With a projector, let Compare settle it, "
        "four trainings of each model.",
        (Link("The lowest KL wins", "realnvp",
              {"data": "pinwheel", "epochs": "20", "points": "5000"}, lesson={
                  "lock": "data,training", "title": "The lowest KL wins",
                  "task": "Only Model and Network may be changed. Note each try and its KL. Before "
                          "you press Train, say what you expect."}),
         Link("Four seeds for each model", "compare", {
             "models": "nice;realnvp:couplings=4:label=RealNVP 4;"
                       "realnvp:couplings=8:label=RealNVP 8",
             "data": "pinwheel", "amount": "10", "seeds": "4"})),
        (("Is the winner's model really better?",
          "Change the seed and train again: the KL changes too."),)),
    Step(
        (41, 45), "Leave with an answer",
        "Three questions to answer on a slip of paper. Every student can take the class's flow "
        "home: **Web page** among a run's downloads is one file that plays, probes and samples it "
        "in any browser, without the lab. Send it, or put it where the class keeps its files.",
        (),
        (("Why must every layer be invertible?",
          "So that the density of any point is known: it is carried back to the simple cloud, "
          "where the density is known, and corrected by how much it was stretched."),
         ("A network stands in every coupling. Must it be invertible?",
          "No. It only reads the half that is kept, which is there on the way back too."),
         ("The training loss is under the dashed line. Is the model better than perfect?",
          "No. It has memorised its points, or there are too few points to tell. Held-out "
          "points show it."))),
)
