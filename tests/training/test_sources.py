"""Everything that a flow can learn from answers the same questions, in the same shapes."""

import math

import numpy as np
import pytest
import torch

from flowlab.data import (
    Drawing,
    Images,
    Picture,
    Points,
    Source,
    image_set,
    kind_of,
    source_of,
    store,
    target,
    targets,
    title_of,
)
from flowlab.data.uploads.drawing import CORNER
from flowlab.settings import SourceSettings

RANDOM = np.random.default_rng(0)
CORNERS = np.array([(0, 2000, 9000, 9000), (0, 2000, 30000, 20000), (1, 3000, 5000, 40000)], CORNER)
SOURCES = {
    **{name: target(name) for name in targets()},
    "pairs": Points(RANDOM.normal(size=(30, 2)).astype(np.float32), "own-0"),
    "table": Points(RANDOM.normal(size=(30, 5)).astype(np.float32), "own-1"),
    "picture": Picture(RANDOM.integers(1, 256, (4, 6), dtype=np.uint8)),
    "drawing": Drawing(CORNERS),
    "digits": image_set("digits"),
    "album": Images("own-2", "Own images", "", RANDOM.integers(0, 256, (25, 8, 6), dtype=np.uint8),
                    None, 256),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_attribute_has_its_one_meaning(source):
    assert isinstance(source, Source)
    assert source.title and source.kind in ("distribution", "points", "images")
    assert all(isinstance(side, int) for side in source.event_shape)
    assert source.columns == math.prod(source.event_shape)
    # A known density, an entropy and any number of points belong together.
    known = source.kind == "distribution"
    assert (source.log_prob is not None) == known == isinstance(source.entropy, float)
    assert (source.count is None) == known and known >= source.full_support
    assert (source.noise is None) == (source.noise_range is None) == (source.default_noise is None)
    images = source.kind == "images"
    assert (source.limits is None) == images == (source.grey_levels > 0)
    assert (source.labels is not None) == (source.classes > 0)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_values_have_the_shapes_that_a_source_promises(source):
    if source.kind == "images":
        x = torch.cat([source.part(test)[0] for test in (False, True)])
        assert len(x) == source.count and int(x.max()) < source.grey_levels
    else:
        x = source.sample(20, seed=1)
        assert x.dtype == torch.float32
        xmin, xmax, ymin, ymax = source.limits
        assert xmin < xmax and ymin < ymax
    assert tuple(x.shape[1:]) == source.event_shape
    if source.log_prob is not None:
        assert source.log_prob(x).shape == (20,) and source.log_prob(x).isfinite().all()
    if source.labels is not None:
        assert source.labels.shape == (source.count,)
        assert source.labels.unique().tolist() == list(range(source.classes))
    if source.modes is not None:
        assert source.modes.dtype == torch.float32 and source.modes.shape[1:] == (2,)


def test_one_function_makes_any_source_from_its_settings():
    table = store.keep(RANDOM.normal(size=(40, 3)).astype(np.float32), ("a", "b", "c"))
    album = store.keep(RANDOM.integers(0, 256, (25, 8, 8), dtype=np.uint8))
    for name, kind, title in (
            ("moons", "distribution", "Two moons"), (table, "points", "Own points"),
            (album, "images", "Own images"), ("digits", "images", "Digits")):
        source = source_of(SourceSettings(data=name))
        assert source.name == name and source.kind == kind_of(name) == kind
        assert source.title == title_of(name) == title and source.own == name.startswith("own-")
        assert source_of(SourceSettings(data=name)) is source
    assert source_of(SourceSettings(data="moons", noise=0.2)).noise == 0.2
    assert source_of(SourceSettings(data=table)).names == ("a", "b", "c")
    with pytest.raises(ValueError, match="Images have no noise level"):
        source_of(SourceSettings(data="digits", noise=0.2))
    with pytest.raises(ValueError, match="There is no target"):
        kind_of("nowhere")


def test_kind_and_title_of_images_need_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWLAB_IMAGES", str(tmp_path))
    monkeypatch.setattr("flowlab.data.openml.fetch_openml",
                        lambda *_, **__: pytest.fail("asked the network"))
    assert kind_of("mnist") == "images" and title_of("fashion_mnist") == "Fashion-MNIST"
