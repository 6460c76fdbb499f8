"""What a flow on images can do: as arrays, and as pictures of one size."""

import io

import numpy as np
import pytest
import torch
from figures_helpers import whole
from helpers import ON_IMAGES, shake, small
from PIL import Image

from flowlab import figures
from flowlab.analysis import images as explore_images
from flowlab.data import Images, dequantise, image_set
from flowlab.figures import style
from flowlab.figures.mosaic import mosaic
from flowlab.live.cameras import ImageCamera, camera
from flowlab.training import Epoch
from flowlab.training.metrics import bits_per_dimension
from glow import train_glow
from models import RECIPES

DIGITS = image_set("digits")
THEMES = ("light", "dark")
KINDS = ("test images", "shuffled pixels", "constant images", "noise")
SMALL = {name: small(name, image=True) for name in ON_IMAGES}


def flow(name="glow", classes=10):
    recipe = RECIPES[name]
    made = recipe.model((1, 8, 8), grey_levels=17, classes=classes, **SMALL[name])
    x = dequantise(DIGITS.pixels[:200])
    made.initialise(x, DIGITS.labels[:200] if classes else None)
    return shake(made.double(), 0.03).eval().requires_grad_(False)


def some(count=10, dtype=torch.float64):
    pixels, labels = DIGITS.part(test=True)
    return dequantise(pixels[:count], torch.Generator().manual_seed(1), dtype), labels[:count]


def size(png):
    return Image.open(io.BytesIO(png)).size


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(figures.png(figure))))


def test_temperature_zero_leaves_one_image_for_each_class():
    made, labels = flow(), torch.arange(20) % 10
    z = made.base_sample(20, torch.Generator().manual_seed(0))
    cold = explore_images.samples(made, z, 0.0, labels)
    assert cold.shape == (20, 8, 8) and np.allclose(cold[:10], cold[10:])
    assert not np.allclose(cold[0], cold[1])
    warm = explore_images.samples(made, z, 1.0, labels)
    assert np.allclose(warm, made.forward(z, labels)[0][:, 0])


def test_the_nearest_to_a_training_image_is_itself():
    train = DIGITS.part(test=False)[0]
    found, distance = explore_images.nearest(train[[3, 77], 0].numpy(), train)
    assert np.array_equal(found, train[[3, 77], 0]) and np.allclose(distance, 0, atol=1e-3)
    other = train[3, 0].numpy().astype(float)
    other[0, 0] += 0.8
    assert explore_images.nearest(other[None], train)[1] == pytest.approx([0.1], abs=1e-3)


@pytest.mark.parametrize("name", ON_IMAGES)
@pytest.mark.parametrize("classes", [0, 10])
def test_the_way_between_two_images_begins_and_ends_with_them(name, classes):
    made, (x, labels) = flow(name, classes), some(2)
    way = explore_images.between(made, x, torch.linspace(0, 1, 5), labels if classes else None)
    assert np.allclose(way[[0, -1]], x[:, 0], atol=1e-7)
    assert not np.allclose(way[2], x.mean(0)[0], atol=1e-3)


@pytest.mark.parametrize("name", ["realnvp", "glow"])
def test_one_scale_anew_leaves_the_latents_of_the_others(name):
    made, (x, labels) = flow(name), some(4)
    z, scales = made.inverse(x, labels)[0], made.scales()
    for scale in (0, int(scales.max())):
        drawn = explore_images.resampled(made, x, scale, 2, labels)
        assert drawn.shape == (2, 4, 8, 8) and not np.allclose(drawn[0], drawn[1])
        again, _ = made.inverse(torch.as_tensor(drawn[0])[:, None], labels)
        kept = scales != scale
        assert torch.allclose(again[:, kept], z[:, kept], atol=1e-6)
        assert not torch.allclose(again[:, ~kept], z[:, ~kept], atol=1e-2)


def test_the_likelihood_of_an_image_of_any_class_is_the_mean_over_classes():
    made, (x, _) = flow(), some(3)
    each = torch.stack([made.log_prob(x, torch.full((3,), k)) for k in range(10)])
    assert torch.allclose(explore_images.log_prob(made, x), each.exp().mean(0).log())
    plain = flow(classes=0)
    assert torch.equal(explore_images.log_prob(plain, x), plain.log_prob(x))


def test_likelihoods_tell_kinds_apart_and_are_in_bits():
    made = flow("nice", 0)
    seen = explore_images.likelihoods(made, DIGITS)
    assert list(seen.bits) == list(seen.examples)
    assert next(iter(seen.bits)) == "test images"
    assert all(len(bits) == explore_images.COUNT for bits in seen.bits.values())
    assert seen.examples["constant images"].std(axis=(1, 2)).max() == 0
    shuffled, test = (np.sort(seen.examples[k].reshape(10, -1)) for k in (
        "shuffled pixels", "test images"))
    assert np.array_equal(shuffled, test)
    x = dequantise(DIGITS.part(test=True)[0][:explore_images.COUNT]).double()
    nats = -made.log_prob(x).mean().item()
    assert np.mean(seen.bits["test images"]) == pytest.approx(
        bits_per_dimension(nats, (1, 8, 8)), rel=0.01)


def test_another_collection_takes_the_place_of_shuffled_images():
    other = Images("other", "Others", "", 16 - DIGITS.pixels[:300, 0].numpy(), None, 17)
    seen = explore_images.likelihoods(flow("nice", 0), DIGITS, other=other)
    assert list(seen.bits) == ["test images", "Others", "constant images", "noise"]
    assert len(seen.bits["Others"]) == len(other.part(test=True)[0])
    assert np.array_equal(seen.examples["Others"][0], other.part(test=True)[0][0, 0].numpy())


def test_how_often_an_image_of_another_kind_is_likelier():
    bits = {"test": np.array([2.0, 4.0]), "near": np.array([1.0, 3.0, 5.0]),
            "broken": np.array([np.nan, np.inf]), "same": np.array([2.0, 4.0])}
    seen = explore_images.Likelihoods(bits, {})
    assert seen.likelier("near") == 0.5 and seen.likelier("broken") == 0
    assert seen.likelier("same") == 0.25  # as likely is not likelier


def test_the_histogram_ends_with_the_last_image_unless_that_is_far_away():
    images = {name: np.zeros((2, 8, 8)) for name in ("test images", "noise")}
    for far, ends, said in ((9.0, 9.0, False), (1e9, 27.0, True)):
        bits = {"test images": np.linspace(2, 7, 100), "noise": np.full(100, far)}
        axes = figures.likelihood_histogram(bits, images, 16).axes[-1]
        assert axes.get_xlim()[1] == pytest.approx(ends, abs=2)
        assert ("beyond" in axes.get_title()) == said


def test_a_mosaic_keeps_the_images_and_leaves_gaps():
    whole = mosaic(np.arange(3)[:, None, None] * np.ones((3, 8, 8)), 2, 2)
    assert whole.shape == (17, 17) and whole[0, 0] == 0 and whole[16, 0] == 2
    assert whole.mask[8].all() and whole.mask[:, 8].all() and whole.mask[9:, 9:].all()
    with pytest.raises(ValueError, match="shape"):
        mosaic(np.zeros((8, 8)), 2, 2)


@pytest.mark.parametrize("theme", THEMES)
def test_every_picture_of_images_has_one_size_and_shows_what_it_is_given(theme):
    images = DIGITS.pixels[:60, 0].numpy()
    way, two = images[:11], images[:2]
    bits = {"test images": np.linspace(2, 3, 50), "noise": np.full(50, 1e9)}
    made = [
        lambda k: figures.samples_and_nearest(images[k:k + 49], images[:49], [1.0], 16,
                                              theme=theme),
        lambda k: figures.in_between(way, way, two, two, k / 10, 16, theme=theme),
        lambda k: figures.scale_anew(images[:10], images[:50].reshape(5, 10, 8, 8), [48, 16], k, 16,
                                     theme=theme),
        lambda k: figures.likelihood_histogram(
            {**bits, "test images": bits["test images"] + k / 3},
            {"test images": images[:10], "noise": images[:10]}, 16, theme=theme),
    ]
    for draw in made:
        first, second = pixels(draw(0)), pixels(draw(1))
        assert first.shape[:2] == (960, 1600) == second.shape[:2]
        assert not np.array_equal(first, second)
    assert size(figures.png(figures.image_thumbnail(images, 16, theme=theme))) == (240, 240)
    assert size(figures.png(figures.name_thumbnail("MNIST", theme=theme))) == (240, 240)


def test_the_histogram_bears_what_is_not_a_number():
    bits = {"test images": [2.0, np.nan, np.inf], "noise": [np.nan, np.inf, 3.0]}
    images = {name: np.zeros((2, 8, 8)) for name in bits}
    assert pixels(figures.likelihood_histogram(bits, images, 16)).shape[:2] == (960, 1600)


@pytest.mark.parametrize("name", ON_IMAGES)
def test_the_camera_keeps_its_latents_and_shows_the_flow_change(name):
    run = RECIPES[name].Run.from_flat({"data": "digits", "classes": 10, **SMALL[name]})
    made, taking = flow(name).float(), camera(run, "light")
    assert isinstance(taking, ImageCamera)
    first = taking.take(made, [])
    latents = taking.latents
    assert taking.take(made, []) == first and size(first) == (1600, 960)
    later = taking.take(shake(made, 0.05), [Epoch(1, 10, 1.0, 130.0, 133.0, None)])
    assert later != first and taking.latents is latents
    assert size(figures.first_samples(later)) == (72, 72)


def test_a_fresh_flow_is_set_from_the_images_and_their_classes():
    run = train_glow.Run.from_flat({"data": "digits", "classes": 10, **SMALL["glow"]})
    made = RECIPES["glow"].model((1, 8, 8), grey_levels=17, classes=10, **SMALL["glow"])
    camera(run, "dark").initialise(made)
    x, labels = some(100, torch.float32)
    z, _ = made.inverse(x, labels)
    assert z.std().item() == pytest.approx(1, abs=0.5)


def test_the_live_picture_names_classes_and_temperature_and_says_what_is_recognised():
    base = [[-1.0, 0.0, 1.0], [0.2, 0.4, 0.2]]
    names = tuple("0123456789")
    picture = figures.ImagePicture(np.zeros((2, 8, 8)), 16, base, temperature=0.7, classes=names)
    empty = [np.zeros((60, 8, 8)), np.zeros((2, 8, 8)), [0.0], [], [], []]
    picture.update(*empty)
    assert picture.headline.get_text() == "Samples at temperature 0.7, one class per column"
    heads = picture.samples.axes.texts
    assert tuple(head.get_text() for head in heads) == names
    across = picture.samples.axes.get_xlim()[1]
    assert [head.get_position()[0] for head in heads] == pytest.approx(
        [(9 * i + 4) * across / 89 for i in range(10)])
    picture.update(*empty, recognised=58)
    assert picture.headline.get_text().endswith("0.7: 58 of 60 look like their class")
    assert not figures.ImagePicture(np.zeros((2, 8, 8)), 16, base).samples.axes.texts


def test_the_camera_of_images_shows_colder_samples_and_counts_them_live():
    run = train_glow.Run.from_flat({"data": "digits", "classes": 10, **SMALL["glow"]})
    made = RECIPES["glow"].model((1, 8, 8), grey_levels=17, classes=10, **SMALL["glow"])
    taking = camera(run, "dark")
    taking.initialise(made)
    taking.take(made, [])
    drawn = explore_images.samples(made, taking.latents, explore_images.TEMPERATURE,
                                   taking.sample_context)
    right = explore_images.recognised(drawn, taking.sample_context, taking.source)
    title = taking.picture.headline.get_text()
    assert "temperature 0.7" in title and title.endswith(f"{right} of 60 look like their class")
    assert taking.columns() == tuple("0123456789")


def test_the_live_picture_wants_what_comes_back_of_its_data():
    base = [[-1.0, 0.0, 1.0], [0.2, 0.4, 0.2]]
    picture = figures.ImagePicture(np.zeros((2, 8, 8)), 16, base)
    with pytest.raises(ValueError, match="comes back"):
        picture.update(np.zeros((60, 8, 8)), np.zeros((3, 8, 8)), [0.0], [], [], [])
    picture.update(np.zeros((60, 8, 8)), np.full((2, 8, 8), 2e-5), [0.0], [], [], [])
    assert "2e-05" in picture.caption.get_text()


@pytest.mark.parametrize("draw", [
    lambda some, theme: figures.samples_and_nearest(
        some(49), some(49), [100.0] * 49, 255, title="Samples at temperature 0.75", theme=theme),
    lambda some, theme: figures.in_between(some(11), some(11), some(2), some(2), 1.0, 255,
                                           theme=theme),
    lambda some, theme: figures.scale_anew(some(10), some(50).reshape(5, 10, 8, 8), [500, 284], 0,
                                           255, theme=theme),
    lambda some, theme: figures.likelihood_histogram(
        {name: np.linspace(1, 1e3, 90) for name in KINDS}, {name: some(10) for name in KINDS}, 255,
        theme=theme)], ids=["samples", "between", "scales", "likelihood"])
def test_a_lecture_cuts_no_word_of_a_view(draw):
    figure = draw(lambda count: np.zeros((count, 8, 8)), "light lecture")
    assert whole(figure) and pixels(figure).shape[:2] == style.LECTURE_SIZE[::-1]
