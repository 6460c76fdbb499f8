"""The landing page: what a flow is, with pictures that the lab made itself."""

import math
from html import escape

import streamlit as st

from flowlab.figures import style
from flowlab.training.recipe import Recipe, featured
from flowlab.ui import landing
from flowlab.ui.app import addresses
from flowlab.ui.app.lab import lab, theme
from flowlab.ui.app.state import page
from flowlab.ui.controls.state import model_page
from flowlab.ui.elements import image
from flowlab.ui.model import metrics, training
from models import RECIPES

FEATURED = featured(RECIPES)
#: The flow that the model's page opens with.
WEIGHTS = str(FEATURED.folder / "images/start.safetensors")
READING, PICTURE, PAGE = 510, 730, 1280  # pixels: a column of text, one picture, everything


def draw_presentation() -> None:
    """Draw the page."""
    st.html(STYLE)
    with st.container(width=PAGE, key="presentation"):
        what_it_is()
        st.divider()
        change_of_variables()
        st.divider()
        two_directions()
        st.divider()
        coupling()
        st.divider()
        maximum_likelihood()
        st.divider()
        every_model()


def what_it_is() -> None:
    """One sentence, and the picture of it."""
    st.title("What is a normalizing flow?", anchor=False)
    st.markdown(
        "#### A simple cloud of random points, bent step by step into complex data, with every "
        "step **exactly invertible**.")
    st.markdown(
        "So one model does two things: it **draws new samples** (left to right), and it gives "
        "the **exact probability density** of any point (right to left).", width=PAGE)
    with st.container(key="transport"):
        film(f"{FEATURED.name}/transport-{theme()}.webp",
             "Points of a normal distribution pass through the coupling layers of a trained "
             f"{FEATURED.title}, "
             "which bend them and the grid under them into two interleaved half moons; then they "
             "go back.")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"A {FEATURED.title} that this lab trained on the two moons. Every point keeps "
                   "its colour; the grid shows how each layer bends the plane.")
        st.toggle("Animate pictures", True, key="moving", persist_state="session", width="content",
                  help="Switch off to see still pictures on this page.")


@st.fragment
def change_of_variables() -> None:
    """The formula, and its picture on the line."""
    st.header("1 · Change of variables: stretching thins out", anchor="change-of-variables")
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        with st.container(width=READING):
            st.markdown(
                "Move points by an invertible map and their density changes: where the map "
                "**stretches**, the same probability covers more space, so the density **falls**; "
                "where it squeezes, the density rises.")
            st.latex(r"\log p_X(x) = \log p_Z(z) - \log\left|\det\frac{\partial x}{\partial z}"
                     r"\right|, \quad x = f(z)")
            st.markdown(
                "*z* is a point of the simple (latent) distribution, *x* where it lands. The "
                "**determinant** of the Jacobian ∂x/∂z is the factor by which a small volume "
                "grows on the way from *z* to *x*. On a line it is the slope of *f*.",
                help="The Jacobian is the table of all partial derivatives: how much every "
                "coordinate of x changes when one coordinate of z does. Papers often write the "
                "same with the Jacobian of the inverse, and a plus: its determinant is one over "
                "this one.")
            strength = st.slider(
                "How strongly the map stretches the middle", *landing.STRENGTHS, 3.0, 0.1,
                key="stretch", persist_state="session",
                help="The slope of the map at z = 0: at 1 nothing changes, above 1 the middle is "
                "stretched, below 1 it is squeezed.")
            at = st.slider("The point to follow, z", -2.5, 2.5, 0.3, 0.1, key="follow",
                           persist_state="session", help="A place on the latent axis.")
        with st.container(width=PICTURE):
            image.draw_png(landing.line_map(strength, at, theme()),
                       f"A normal density under a map with slope {strength:.1f} in the middle, "
                       "and the density that it becomes; strips of equal probability keep their "
                       "colour.")


@st.fragment
def two_directions() -> None:
    """Forward and inverse, layer by layer."""
    st.header("2 · Two directions, layer by layer", anchor="directions")
    st.markdown(
        "A flow is a chain of simple layers, so the log-determinants just **add up**. "
        "**Forward** is latent → data: draw *z*, push it through, and you have a new sample. "
        "**Inverse** is data → latent: pull a point *x* back, and you know its density.")
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        direction = st.segmented_control(
            "Direction", ["Forward: sample", "Inverse: density"], default="Forward: sample",
            required=True, key="direction", persist_state="session", width="content",
            help="Forward follows fresh latent points and a square grid of latent space to the "
            "data; inverse follows points and a square grid of the data back.")
        generative = direction.startswith("Forward")
        way = landing.journey(WEIGHTS, generative)
        count = len(way.steps)
        position = st.slider(
            f"Layers passed: 0 is latent space, {count} is data space" if generative else
            f"Layers undone: 0 is data space, {count} is latent space", 0.0, float(count), 3.0,
            0.25, key="layer", persist_state="session", width=READING)
    passed = math.ceil(position)
    stage = passed if generative else count - passed  # layers between latent space and the points
    layer = max(passed, 1) if generative else min(stage + 1, count)
    image.draw_png(landing.transport(WEIGHTS, generative, position, theme()),
               f"{'Latent' if generative else 'Data'} points with {passed} of {count} layers "
               f"{'passed' if generative else 'undone'}, of a {FEATURED.title} trained on the "
               "moons.")
    step = way.steps[layer - 1]
    with st.container(horizontal=True, gap="large", vertical_alignment="center"):
        with st.container(width=READING, gap=None):
            st.markdown(f"Layer **{layer}: {step.name}**, " + (
                "from *z* to *x*:" if generative else "undone, from *x* to *z*:"))
            st.latex(step.latex("forward" if generative else "inverse",
                                style.theme(theme()).model))
        st.metric(
            "Mean log-density where the points are",
            f"{way.log_density[stage]:.2f} nats".replace("-", "\N{MINUS SIGN}"), width=340,
            help="The log-density after the layers so far, averaged over all points. Each layer "
            "subtracts its mean log-determinant; in data space the result is the log-likelihood of "
            "the data.")


def coupling() -> None:
    """Why the inverse and the determinant are cheap."""
    st.header("3 · Coupling layers: easy to undo", anchor="coupling")
    st.markdown(
        "Split a point into two parts. The first **passes through unchanged** and decides, by "
        "neural networks *s* and *t*, how the second is stretched and moved. On the way back the "
        "first part is still there, so the same *s* and *t* can be computed again: **no network "
        "is ever inverted**.")
    with st.container(key="equations-coupling"):
        forward, inverse, jacobian = st.columns(3, border=True)
    with forward:
        st.markdown("**Forward**, latent → data")
        st.latex(r"""\begin{aligned} x_a &= z_a \\
                 x_b &= z_b \odot e^{s(z_a)} + t(z_a) \end{aligned}""")
        st.caption("⊙ multiplies entry by entry.")
    with inverse:
        st.markdown("**Inverse**, data → latent")
        st.latex(r"""\begin{aligned} z_a &= x_a \\
                 z_b &= \bigl(x_b - t(x_a)\bigr) \odot e^{-s(x_a)} \end{aligned}""")
        st.caption("As fast as the forward direction, and exact.")
    with jacobian:
        st.markdown("**Jacobian**: triangular",
                    help="All its entries above the diagonal are zero, because the first part "
                    "does not depend on the second.")
        st.latex(r"""\frac{\partial x}{\partial z} = \begin{pmatrix} I & 0 \\
                 * & \operatorname{diag}\, e^{s(z_a)} \end{pmatrix}""")
        st.caption("Its determinant is the product of the diagonal: log|det| = Σ s.")
    st.markdown(
        "One coupling changes only one part, so the parts **take turns**. A few such layers in "
        "a row bend the plane as above.")


def maximum_likelihood() -> None:
    """What the training minimises, and what it cannot go below."""
    st.header("4 · Learning: maximum likelihood", anchor="maximum-likelihood")
    facts = landing.numbers(str(FEATURED.folder / "images/start.json"))
    st.markdown(
        "Training changes the networks until the data are as **probable** as possible: it "
        "minimises the average negative log-likelihood (NLL) of the model *q* over data from the "
        "true distribution *p*.")
    st.latex(r"\underbrace{\mathbb{E}_{x\sim p}\bigl[-\log q(x)\bigr]}_{\text{the loss}} = "
             r"\underbrace{\mathrm{KL}(p\,\|\,q)}_{\ge\,0,\ \text{zero only if } q = p} + "
             r"\underbrace{H(p)}_{\text{entropy: the data's own}}")
    st.markdown(
        f"The KL divergence, how far *q* is from the truth, is never negative. So the loss "
        f"**cannot go below the entropy** of the data, on average over many points. The lab knows "
        "the true density of its distributions. The dashed line is the loss that the truth itself "
        f"has at the test points, here {facts['best_nll']:.3f} nats, so the gap between the test "
        f"curve and the line is the KL: for this flow at the end {facts['kl']:.3f} nats.",
        help="A nat is the unit of information with natural logarithms; 1 nat = 1.44 bits. A "
        "density can exceed 1, so log-likelihoods may be positive and losses negative.")
    with st.container(key="learning"):
        film(f"{FEATURED.name}/learning-{theme()}.webp",
             f"The density of the moons, the density that a {FEATURED.title} learns, from a blur "
             "to two thin moons, and its loss falling to the dashed line.")


def every_model() -> None:
    """The models of the lab, and the way to their pages."""
    st.header("5 · Flows to play with", anchor="models")
    st.markdown("All are trained on the same moons. Each model's page opens with its flow.")
    for column, (name, recipe) in zip(st.columns(len(RECIPES)), RECIPES.items(), strict=True):
        with column, st.container(border=True, height="stretch"):
            card(name, recipe)


def card(name: str, recipe: Recipe) -> None:
    """What a model is, its trained flow, and the buttons that lead to its page."""
    st.subheader(recipe.title, anchor=False)
    trained = recipe.folder / "images/start.json"
    if trained.exists():
        film(f"{name}/card-{theme()}.webp",
             f"A grid and points carried by a trained {recipe.title} to the moons and back.")
    st.markdown(recipe.summary)
    st.markdown(f":material/check: {recipe.strength}")
    st.markdown(f":material/close: {recipe.limit}")
    if trained.exists():
        kl = landing.numbers(str(trained))["kl"]
        st.markdown(f"KL to the truth: **{metrics.number(kl, 'nats')}**",
                    help="How far the learned density is from the true one, measured at "
                    "points that it has not been trained on; 0 is perfect.")
    if st.button(f"**Train {recipe.title}**", icon=":material/play_arrow:", width="stretch",
                 key=f"begin.{name}", help="Start a new training with the default settings, and "
                 "watch it on the model's page."):
        begin(name)
    st.page_link(addresses.destination(name), label="Open its page", width="stretch",
                 query_params=addresses.of(name))
    for each, settings in recipe.pretrained.items():
        st.page_link(addresses.destination(name), label=f"See its {each} flow", width="stretch",
                     query_params=recipe.Run.from_flat(dict(settings)).texts())
    st.caption(recipe.paper)


def begin(name: str) -> None:
    """Train the model with its default settings, and go to its page, which follows the run.

    It takes a press of the button: no address does it.
    """
    recipe = RECIPES[name]
    state = page(landing.Presentation, "presentation")
    begun = lab().find(state.begun.get(name))
    if begun is None or not lab().status(begun).active:  # a second press finds it under way
        run_id = training.submit(model_page(recipe), recipe.Run())
        if run_id is None:
            st.switch_page(addresses.destination(name))  # which says why
        state.begun[name] = run_id
    st.switch_page(addresses.destination(name), query_params={"run": state.begun[name]})


STYLE = """<style>
.st-key-presentation [data-testid="stMarkdownContainer"] p,
.st-key-presentation [data-testid="stMarkdownContainer"] li { font-size: 1.1rem; }
.st-key-presentation .katex-display { padding-block: 0.4rem; font-size: 1.1em; }
.st-key-presentation [data-testid="stCaptionContainer"] p { font-size: 0.95rem; }
.st-key-presentation .stButton button {
  border: 2px solid var(--st-primary-color, #0b68a8); border-radius: 8px; }
</style>"""


def film(path: str, alt: str) -> None:
    """A moving picture from the folder ``static``, or the still beside it if none should move.

    The browser knows whether its user wants less motion.
    """
    folder = f"{addresses.here()}/app/static/"
    still = path.replace(".webp", "-still.webp")
    if not page(landing.Presentation, "presentation").moving:
        path = still
    st.html(f'<picture><source media="(prefers-reduced-motion: reduce)" srcset="{folder}{still}">'
            f'<img src="{folder}{path}" alt="{escape(alt)}" style="width: 100%"></picture>')
