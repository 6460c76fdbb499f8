"""`Flow.steps` walks through the layers: the same points and log-determinants as the whole map."""

import pytest
import torch
from helpers import MODELS, ON_IMAGES, shake, small

from flowlab import Flow

CASES = [(name, shape, classes) for name in MODELS
         for shape in ((2,), (3,), (1, 4, 4)) for classes in (0, 3)
         if len(shape) == 1 or name in ON_IMAGES]


def made(name: str, shape: tuple[int, ...], classes: int) -> tuple[Flow, torch.Tensor, object]:
    settings = {**small(name, image=len(shape) > 1, depth=3), "classes": classes}
    flow = shake(MODELS[name](shape, **settings), 0.05).double()
    x = torch.randn(5, *shape, dtype=torch.float64)
    return flow, x, torch.arange(5) % classes if classes else None


@pytest.mark.parametrize(("name", "shape", "classes"), CASES)
@torch.no_grad()
def test_the_steps_make_up_the_whole_map(name, shape, classes):
    flow, x, context = made(name, shape, classes)
    for inverse, whole in ((False, flow.forward), (True, flow.inverse)):
        walk = list(flow.steps(x, context, inverse=inverse))
        layers = list(flow.layers)
        assert [layer for layer, _, _ in walk] == (layers[::-1] if inverse else layers)
        points, log_det = whole(x, context)
        torch.testing.assert_close(walk[-1][1], points, rtol=0, atol=1e-10)
        torch.testing.assert_close(sum(d for _, _, d in walk), log_det, rtol=0, atol=1e-10)
        assert all(y.shape == x.shape and d.shape == (5,) for _, y, d in walk)


@pytest.mark.parametrize(("name", "shape", "classes"), CASES)
@torch.no_grad()
def test_a_walk_starts_at_any_stage(name, shape, classes):
    flow, x, context = made(name, shape, classes)
    stages = [x, *(y for _, y, _ in flow.steps(x, context))]
    for stage, points in enumerate(stages):
        to_data = [points, *(y for _, y, _ in flow.steps(points, context, stage=stage))]
        to_latent = [points, *(y for _, y, _ in flow.steps(
            points, context, inverse=True, stage=stage))]
        assert len(to_data) + len(to_latent) == len(stages) + 1
        torch.testing.assert_close(to_data[-1], stages[-1], rtol=0, atol=1e-8)
        torch.testing.assert_close(to_latent[-1], x, rtol=0, atol=1e-8)


@pytest.mark.parametrize("stage", [-1, 100])
def test_a_stage_that_does_not_exist_is_refused(stage):
    flow, x, _ = made("nice", (2,), 0)
    with pytest.raises(ValueError, match="from 0 to"):
        list(flow.steps(x, stage=stage))
