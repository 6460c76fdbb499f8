"""The views of a flow on images: samples, ways between two, scales and likelihoods."""

from typing import Any

import numpy as np
import streamlit as st
import torch

from flowlab import figures
from flowlab.analysis import images as explore_images
from flowlab.data import Images, dequantise, image_set, title_of
from flowlab.data.images import OPENML, at_hand
from flowlab.figures.image_views import EXAMPLES, PAIRS, STRIP
from flowlab.ui.app.lab import appearance
from flowlab.ui.app.state import Values
from flowlab.ui.controls.links import SHOWS
from flowlab.ui.controls.upload import newest_images
from flowlab.ui.elements import image
from flowlab.ui.model import inside
from flowlab.ui.model.inside import Subject

VIEWS = SAMPLES, BETWEEN, SCALES, LIKELIHOOD = *(name for key, name in SHOWS.items()
                                                 if key != "flow"),
HELP = ("What the training has reached; samples at any temperature beside the training images "
        "nearest to them; the path between two images through latent space; what each scale of "
        "the latents encodes; and how likely the flow finds other images.")
MIXED = "All in turn"
SHUFFLED = "Shuffled pixels"
#: One of each kind of images that no collection has.
UNLIKE = {"shuffled pixels": "an image with shuffled pixels", "constant images": "a constant image",
          "noise": "noise"}
DRAWS = 5
RATED = 300  # samples whose class is looked at
NOISE = 0  # seed of the noise upon the images that are shown


def images_of(subject: Subject) -> Images:
    """The images that the subject is about."""
    return image_set(subject.settings.source.data)


def picture(subject: Subject, index: int) -> None:
    """Draw the picture of the view chosen, of the live picture's size."""
    view = subject.page.view
    place = subject.weighty(index)
    png = _drawn(subject.key, subject.step(place), view, _chosen(subject, view), appearance(),
                 subject, place)
    image.draw_png(png, {SAMPLES: "Samples, and the training images nearest to them.",
                     BETWEEN: "Images on the path between two, through latent space and mixed.",
                     SCALES: "Test images, and the same with one scale's latents resampled.",
                     LIKELIHOOD: "Histograms of bits per dimension of test images and others."
                     }[view])


def _chosen(subject: Subject, view: str) -> tuple:
    """The values of the view's controls, within what the images and the flow allow."""
    get, images = subject.page.img.setdefault, images_of(subject)
    if view == SAMPLES:
        label = get("class", MIXED)
        return (get("temperature", explore_images.TEMPERATURE), get("latents", 0),
                label if subject.settings.flow.classes else MIXED)
    if view == BETWEEN:
        last = len(images.part(test=True)[0]) - 1
        return min(get("first", 0), last), min(get("second", 5), last), get("way", 0.5)
    if view == SCALES:
        return get("scale", 0), get("anew", 0)
    other = get("other", SHUFFLED)
    return (other if other in _others(images) else SHUFFLED,)


def _others(images: Images) -> list[str]:
    """What test images can be compared with: themselves in disorder, and other collections."""
    known = [name for name in OPENML if images.event_shape == (1, 28, 28) and at_hand(name)]
    return [SHUFFLED, *(name for name in dict.fromkeys((*known, newest_images()))
                        if name and name != images.name and _alike(image_set(name), images))]


def _alike(one: Images, other: Images) -> bool:
    return (one.event_shape, one.grey_levels) == (other.event_shape, other.grey_levels)


@st.cache_data(show_spinner=False, max_entries=256)
def _drawn(key: str, step: int, view: str, chosen: tuple, appearance: str, _subject: Subject,
           _index: int) -> bytes:
    flow, images = inside.flow_at(_subject, _index), images_of(_subject)
    highest = images.grey_levels - 1
    if view == SAMPLES:
        temperature, seed, label = chosen
        count = PAIRS[0] * PAIRS[1]
        z = flow.base_sample(count, torch.Generator().manual_seed(seed))
        drawn = explore_images.samples(flow, z, temperature, _context(flow, count, label))
        found, distance = explore_images.nearest(np.clip(np.floor(drawn), 0, highest),
                                                 images.part(test=False)[0])
        return figures.png(figures.samples_and_nearest(
            drawn, found, distance, highest, title=f"Samples at temperature {temperature:.2f}",
            theme=appearance))
    if view == BETWEEN:
        return figures.png(_between(flow, images, chosen, appearance))
    if view == SCALES:
        scale, seed = chosen
        x, labels = _test(flow, images, range(EXAMPLES))
        entries = flow.scales().flatten().bincount().tolist()
        scale = min(scale, len(entries) - 1)
        drawn = explore_images.resampled(flow, x, scale, DRAWS, labels, seed)
        return figures.png(figures.scale_anew(x[:, 0].numpy(), drawn, entries, scale, highest,
                                              theme=appearance))
    seen = _likelihoods(key, step, chosen[0], flow, images)
    return figures.png(figures.likelihood_histogram(seen.bits, seen.examples, highest,
                                                    theme=appearance))


def _between(flow: Any, images: Images, chosen: tuple, appearance: str) -> Any:
    first, second, way = chosen
    x, labels = _test(flow, images, (first, second))
    places = torch.cat([torch.linspace(0, 1, STRIP), torch.tensor([way])])
    strip = explore_images.between(flow, x, places, labels)
    ends, share = x[:, 0].numpy(), places[:, None, None].numpy()
    blend = (1 - share) * ends[0] + share * ends[1]
    return figures.in_between(strip[:-1], blend[:-1], np.stack([strip[-1], blend[-1]]), ends, way,
                              images.grey_levels - 1, theme=appearance)


def _test(flow: Any, images: Images, which: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Some test images as the flow takes them, and their classes where it has classes."""
    pixels, labels = images.part(test=True)
    which = [i for i in which if i < len(pixels)]
    x = dequantise(pixels[which], torch.Generator().manual_seed(NOISE), flow.dtype)
    return x, labels[which] if flow.settings.classes and labels is not None else None


@st.cache_resource(show_spinner="Measuring likelihoods", max_entries=32)
def _likelihoods(key: str, step: int, other: str, _flow: Any, _images: Images
                 ) -> explore_images.Likelihoods:
    return explore_images.likelihoods(
        _flow, _images, other=None if other == SHUFFLED else image_set(other))


def controls(subject: Subject, index: int) -> None:
    """Draw the controls of the view chosen, and what to see in it."""
    {SAMPLES: _samples, BETWEEN: _way, SCALES: _scales, LIKELIHOOD: _lesson}[subject.page.view](
        subject, index)


def _samples(subject: Subject, index: int) -> None:
    page, classes = subject.page, subject.settings.flow.classes
    heat, label, anew = st.columns([4, 2, 2], vertical_alignment="bottom")
    heat.slider("Temperature", 0.0, 1.5, step=0.05, **page.img.tie("temperature"),
                help="Factor on the latents before they go through the flow: below 1 the samples "
                "are plainer and more alike, at 0 there is only one for each class.")
    label.selectbox("Class", [MIXED, *map(str, range(classes))], disabled=not classes,
                    **page.img.tie("class" if classes else "noclass"),
                    help="The class of all samples." if classes else "This flow does not know the "
                    "classes: switch on *Learn each class* on the left, where the images have "
                    "some, and train again.")
    anew.button("New latents", icon=":material/casino:", key=f"{page.name}.newlatents",
                width="stretch", on_click=_count, args=(page.img, "latents"),
                help="Draw other latents from the base distribution.")
    if classes:
        temperature, _, label = _chosen(subject, SAMPLES)
        place = subject.weighty(index)
        right = _recognised(subject.key, subject.step(place), temperature, label, subject, place)
        st.caption(f"At temperature {temperature:.2f} the three nearest training images agree on "
                   f"the class asked for in **{right / RATED:.0%}** of {RATED} samples of this "
                   "flow.")
    st.caption("A flow that had memorised its training images would repeat them: then the "
               "pictures on the right would be the same as those on the left.")


@st.cache_data(show_spinner=False, max_entries=256)
def _recognised(key: str, step: int, temperature: float, label: str, _subject: Subject,
                _index: int) -> int:
    flow, images = inside.flow_at(_subject, _index), images_of(_subject)
    context = _context(flow, RATED, label)
    assert context is not None  # the control is there for classes only
    z = flow.base_sample(RATED, torch.Generator().manual_seed(NOISE))
    return explore_images.recognised(
        explore_images.samples(flow, z, temperature, context), context, images)


def _context(flow: Any, count: int, label: str) -> torch.Tensor | None:
    """The classes of so many samples: all in turn, or one; None where the flow has none."""
    classes = flow.settings.classes
    if not classes:
        return None
    return torch.arange(count) % classes if label == MIXED else torch.full((count,), int(label))


def _way(subject: Subject, index: int) -> None:
    img = subject.page.img
    last = len(images_of(subject).part(test=True)[0]) - 1
    _chosen(subject, BETWEEN)
    for control in ("first", "second"):  # another set may have fewer
        img[control] = min(img[control], last)
    first, way, second = st.columns([1.3, 4, 1.3], vertical_alignment="bottom")
    for column, control in ((first, "first"), (second, "second")):
        column.number_input(f"{control.capitalize()} image", 0, last, step=1,
                            **img.tie(control),
                            help="Number of a test image, on which the flow was not trained.")
    way.slider("From the first to the second", 0.0, 1.0, step=0.05, **img.tie("way"),
               help="Share of the straight line between the two latents.")
    text = "Through latent space one image turns into the other; mixed pixels show both at once."
    if subject.settings.flow.classes:
        text += " The flow is given the first image's class up to the middle, then the second's."
    st.caption(text)


def _scales(subject: Subject, index: int) -> None:
    img = subject.page.img
    count = int(inside.flow_at(subject, index).scales().max()) + 1
    img["scale"] = min(img.get("scale", 0), count - 1)
    choose, anew = st.columns([6, 2], vertical_alignment="bottom")
    labels = {0: "Finest" if count > 1 else "All latents", count - 1: "Coarsest"} | {
        k: f"Scale {k + 1}" for k in range(1, count - 1)}
    if count == 1:
        labels[0] = "All latents"
    choose.segmented_control("Scale to resample", range(count), format_func=labels.__getitem__,
                             **img.tie("scale"), required=True,
                             help="The finest latents leave the flow first; the coarsest go "
                             "through all of its layers.")
    anew.button("Draw again", icon=":material/casino:", key=f"{subject.page.name}.drawagain",
                width="stretch", on_click=_count, args=(img, "anew"),
                help="Draw other latents for that scale.")
    st.caption("Keep all other latents, and see what changes: that is what the scale encodes."
               if count > 1 else "This flow has one scale only, so resampling it leaves nothing of "
               "the images. Flows with several levels factor latents out, scale by scale.")


def _lesson(subject: Subject, index: int) -> None:
    place = subject.weighty(index)
    flow, images = inside.flow_at(subject, place), images_of(subject)
    others = _others(images)
    right: Any = st
    if len(others) > 1:
        left, right = st.columns([2, 5], vertical_alignment="center")
        left.selectbox("Compare with", others, **subject.page.img.tie("other"),
                       format_func=lambda name: name if name == SHUFFLED else title_of(name),
                       help="Other images of the same size, none of which the flow has seen. Your "
                       "own are those used last.")
    other, = _chosen(subject, LIKELIHOOD)
    seen = _likelihoods(subject.key, subject.step(place), other, flow, images)
    shares = ", ".join(f"{UNLIKE.get(kind, f'an image of {kind}')} in **{seen.likelier(kind):.0%}**"
                       for kind in [*seen.bits][1:])
    right.caption(f"More likely than a test image: {shares} of all pairs. A high likelihood does "
                  "not prove that an image is of the kind that was learned: what is easy to "
                  "predict, such as an empty image, scores high.",
                  help="A likelihood is the model's density at one image. Bits are measured with "
                  "one draw of noise per image; where a flow learns classes, the density is summed "
                  "over all of them.")


def _count(img: Values, control: str) -> None:
    img[control] = img.get(control, 0) + 1
