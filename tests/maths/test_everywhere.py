"""A flow gives the same values and gradients wherever PyTorch lets it be used, or one sentence."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from helpers import ON_IMAGES, shake, small
from pydantic import ValidationError
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, grad, jacfwd, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils import parametrizations

from flowlab import Flow
from flowlab.bijections import Scaling, multiscale
from flowlab.bijections.base import LOG_PROB
from flowlab.bijections.networks import WeightNormed
from flowlab.settings import describe
from models import MODELS

VECTOR, ODD, IMAGE = (2,), (3,), (1, 4, 4)
THOROUGH = pytest.mark.thorough
#: Every model on vectors of even and odd length and on images, with and without classes.
CASES = [pytest.param(name, shape, classes, marks=thorough)
         for name in MODELS for shape, classes, thorough in (
             (VECTOR, 3, THOROUGH), (ODD, 0, THOROUGH), (ODD, 3, ()), (IMAGE, 0, THOROUGH),
             (IMAGE, 3, ())) if shape != IMAGE or name in ON_IMAGES]
cases = pytest.mark.parametrize(("name", "shape", "classes"), CASES)
#: What compiles takes seconds: each kind once.
few = pytest.mark.parametrize(("name", "shape", "classes"), [
    pytest.param("nice", ODD, 3, marks=THOROUGH), pytest.param("nice", IMAGE, 0, marks=THOROUGH),
    ("realnvp", VECTOR, 0), pytest.param("realnvp", IMAGE, 3, marks=THOROUGH),
    pytest.param("glow", ODD, 3, marks=THOROUGH), pytest.param("glow", IMAGE, 3, marks=THOROUGH),
    pytest.param("spline", ODD, 3, marks=THOROUGH)])
#: Sentences are short, and one line.
LONGEST = 160


def make(name: str, shape: tuple[int, ...], classes: int, **more: object) -> Flow:
    settings = {**small(name, image=len(shape) > 1, depth=3), "classes": classes, **more}
    return shake(MODELS[name](shape, **settings), 0.05).double().eval()


def batch(flow: Flow, n: int = 5) -> tuple[Tensor, ...]:
    """Points, and where the flow has classes those of the points."""
    x = torch.randn(n, *flow.event_shape, dtype=flow.dtype)
    classes = flow.settings.classes
    return (x, torch.arange(n) % classes) if classes else (x,)


def reference(flow: Flow, x: Tensor, context: Tensor | None = None) -> Tensor:
    """The log-density by the layers' own methods, one by one."""
    place = multiscale.Place(x) if len(flow.event_shape) > 1 else None
    z, log_det = x, 0
    for layer in reversed(flow.layers):
        z, layer_log_det = layer.inverse(z if place is None else place.move(layer.depth).x, context)
        if place is not None:
            place.x = z
        log_det = log_det + layer_log_det
    return LOG_PROB[flow.settings.base](z if place is None else place.move(0).x) + log_det


def gradients(flow: Flow, log_prob: Tensor, x: Tensor) -> list[Tensor]:
    uneven = torch.linspace(1, 2, len(x), dtype=x.dtype)
    return list(torch.autograd.grad((uneven * log_prob).sum(), [x, *flow.parameters()]))


def agree(function, flow: Flow, *args: Tensor) -> None:
    """Values and gradients of ``function`` are those of the layers, with and without a graph."""
    x = args[0].clone().requires_grad_()
    expected = reference(flow, x, *args[1:])
    with torch.no_grad():
        close(function(*args), expected)
    actual = function(x, *args[1:])
    close(actual, expected)
    close(gradients(flow, actual, x), gradients(flow, expected, x))


def close(actual: object, expected: object) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


class Density(nn.Module):
    """`Flow.log_prob` as a module's ``forward``."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, *points: Tensor) -> Tensor:
        return self.flow.log_prob(*points)


@few
def test_compiled(name, shape, classes):
    torch._dynamo.reset()
    flow = make(name, shape, classes)
    agree(torch.compile(flow.log_prob, backend="aot_eager", fullgraph=True), flow, *batch(flow))


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of PyTorch's tracer
def test_compiled_in_pieces():
    """Where a layer cannot be traced, the rest of a chain is compiled without the fast path."""
    class Untraceable(Scaling):
        def inverse(self, x, context=None):
            torch._dynamo.graph_break()
            return super().inverse(x, context)

    flow = make("realnvp", ODD, 0)
    flow.layers.insert(0, Untraceable(ODD).double())
    agree(torch.compile(flow.log_prob, backend="aot_eager"), flow, *batch(flow))


@few
@pytest.mark.filterwarnings("ignore")  # of PyTorch, on traces that it has deprecated
def test_exported_and_traced(name, shape, classes):
    flow = make(name, shape, classes)
    args, others = batch(flow), batch(flow, 7)
    size = {0: torch.export.Dim("size")}
    exported = torch.export.export(Density(flow), args, dynamic_shapes=((size,) * len(args),))
    traced = torch.jit.trace(Density(flow), args, check_trace=False)
    for function in (exported.module(), traced):
        for points in (args, others):
            close(function(*points), reference(flow, *points))
    x, log_det = torch.export.export(flow, args).module()(*args)
    close((x, log_det), flow.forward(*args))


@pytest.mark.thorough
@cases
def test_recorded_and_without_numbers(name, shape, classes):
    flow = make(name, shape, classes)
    args, others = batch(flow), batch(flow)
    expected = reference(flow, *others)
    for recording in (torch.enable_grad, torch.no_grad):
        with recording():
            close(make_fx(lambda *a: flow.log_prob(*a))(*args)(*others), expected)
            empty = copy.deepcopy(flow).to("meta").log_prob(*(a.to("meta") for a in args))
            with FakeTensorMode(allow_non_fake_inputs=True) as mode:
                fake = flow.log_prob(*map(mode.from_tensor, args))
            assert empty.is_meta and empty.shape == fake.shape == (5,)
    agree(flow.log_prob, flow, *args)  # nothing of it stays behind


@cases
def test_inference_mode_leaves_nothing_behind(name, shape, classes):
    flow = make(name, shape, classes)
    args = batch(flow)
    with torch.inference_mode():
        close(flow.log_prob(*args), reference(flow, *args))
    agree(flow.log_prob, flow, *args)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own jvp
@cases
def test_transforms(name, shape, classes):
    flow = make(name, shape, classes)
    args = batch(flow)
    x = args[0].clone().requires_grad_()
    expected = reference(flow, x, *args[1:])
    score, = torch.autograd.grad(expected.sum(), x, retain_graph=True)

    def one(*point):
        return flow.log_prob(*(part[None] for part in point))[0]

    close(vmap(one)(*args), expected)
    close(vmap(grad(one))(*args), score)
    close(vmap(jacfwd(one))(*args), score)
    _, tangent = torch.func.jvp(lambda x: flow.log_prob(x, *args[1:]), args[:1],
                                (torch.ones_like(args[0]),))
    close(tangent, score.flatten(1).sum(1))
    together, = torch.autograd.grad(flow.log_prob(x, *args[1:]), x,
                                    torch.eye(5, dtype=x.dtype), is_grads_batched=True)
    close(together[range(5), range(5)], score)

    flows = [flow, copy.deepcopy(flow)]
    parameters, buffers = stack_module_state([Density(f) for f in flows])
    passing = {f"flow.{k}": b for k, b in flow.named_buffers()}
    both = vmap(lambda p: functional_call(Density(flow), {**passing, **p}, args))(parameters)
    assert buffers
    close(both[1], expected)


@pytest.mark.filterwarnings("ignore:.*:FutureWarning")
def test_under_autocast_the_fast_path_stands_back():
    flow = make("glow", IMAGE, 0).float()
    x, = batch(flow)
    with torch.autocast("cpu", torch.bfloat16):
        actual, z = flow.log_prob(x), flow.forward(x)[0]
    torch.testing.assert_close(actual.float(), flow.log_prob(x), rtol=0.05, atol=0.5)
    torch.testing.assert_close(z.float(), flow.forward(x)[0], rtol=0.05, atol=0.1)


@cases
def test_copies(name, shape, classes):
    flow = make(name, shape, classes)
    args = batch(flow)
    flow.log_prob(*args).sum().backward()
    saved = io.BytesIO()
    torch.save(flow, saved)
    saved.seek(0)
    for again in (copy.deepcopy(flow), pickle.loads(pickle.dumps(flow)),
                  torch.load(saved, weights_only=False)):
        agree(again.log_prob, again, *args)
        close(again.log_prob(*args), flow.log_prob(*args))


@cases
def test_frozen_layers(name, shape, classes):
    flow = make(name, shape, classes)
    args = batch(flow)
    wanted = dict(zip([None, *(n for n, _ in flow.named_parameters())], gradients(
        flow, reference(flow, x := args[0].clone().requires_grad_(), *args[1:]), x), strict=True))
    flow.layers[0].requires_grad_(False)
    flow.layers[1].requires_grad_(False)
    x = args[0].clone().requires_grad_()
    learned = {None: x, **{n: p for n, p in flow.named_parameters() if p.requires_grad}}
    loss = (torch.linspace(1, 2, 5, dtype=x.dtype) * flow.log_prob(x, *args[1:])).sum()
    close(torch.autograd.grad(loss, list(learned.values())), tuple(map(wanted.get, learned)))


@cases
def test_an_empty_batch_stays_empty(name, shape, classes):
    flow = make(name, shape, classes)
    args = batch(flow, 0)
    for recording in (torch.enable_grad, torch.no_grad):
        with recording():
            assert flow.log_prob(*args).shape == flow.inverse(*args)[1].shape == (0,)
            assert flow.forward(*args)[0].shape == flow.sample(0, *args[1:]).shape == (0, *shape)
            assert len(flow.trace(*args)) == len(flow.layers) + 1
    flow.log_prob(*args).sum().backward()


@cases
def test_points_in_any_order_of_memory(name, shape, classes):
    flow = make(name, shape, classes)
    x, *context = batch(flow, 10)
    context = [c[::2] for c in context]
    agree(flow.log_prob, flow, x[::2], *context)
    agree(flow.log_prob, flow, x[::2].transpose(0, -1).contiguous().transpose(0, -1), *context)
    agree(flow.log_prob, flow, x[:1].expand(5, *shape), *context)


@cases
@pytest.mark.parametrize("base", LOG_PROB)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_infinity_has_no_density(name, shape, classes, base, dtype):
    flow = make(name, shape, classes, base=base).to(dtype)
    x, *context = batch(flow, 8)
    inf, nan = torch.inf, torch.nan
    rows = x.view(8, -1)
    rows[0, 0], rows[1, -1], rows[2], rows[3, 1] = inf, -inf, inf, nan
    rows[4, 0], rows[4, 1], rows[5, 0], rows[5, 1] = inf, -inf, nan, inf
    finite, classes = x[6:], [c[6:] for c in context]
    for recording in (torch.no_grad, torch.enable_grad):
        with recording():
            log_prob = flow.log_prob(x, *context)
            assert (log_prob[[0, 1, 2, 4]] == -inf).all() and log_prob[[3, 5]].isnan().all()
            torch.testing.assert_close(log_prob[6:], flow.log_prob(finite, *classes))
    parameters = list(flow.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(log_prob[6:].sum(), parameters),
        torch.autograd.grad(flow.log_prob(finite, *classes).sum(), parameters),
        rtol=1e-3, atol=1e-4)


with_classes = pytest.mark.parametrize(("name", "shape"), [
    (name, shape) for name in MODELS for shape in (ODD, IMAGE)
    if shape == ODD or name in ON_IMAGES])


@with_classes
@pytest.mark.parametrize("dtype", [
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32])
def test_classes_are_integers_of_any_type(name, shape, dtype):
    flow = make(name, shape, 3)
    x, context = batch(flow)
    agree(lambda x, c: flow.log_prob(x, c.to(dtype)), flow, x, context)
    close(flow.forward(x, context.to(dtype)), flow.forward(x, context))
    close(flow.trace(x, context.to(dtype)), flow.trace(x, context))
    assert flow.sample(5, context.to(dtype)).shape == x.shape
    if dtype not in (torch.uint16, torch.uint32):  # which vmap cannot index
        close(vmap(lambda x, c: flow.log_prob(x[None], c[None])[0])(x, context.to(dtype)),
              flow.log_prob(x, context))


@with_classes
def test_wrong_classes_get_one_sentence(name, shape):
    flow = make(name, shape, 3)
    x, context = batch(flow)
    for wrong in (context.bool(), context.numpy() > 1, True, context.double(), [0.5] * 5, "abcde",
                  context[:3], context[:, None], [0], [[0], [1, 2]], object(), None, context + 1,
                  context - 1, 3, (context + 254).to(torch.uint8), [2**40] * 5):
        for call in (flow.log_prob, flow.forward, flow.inverse, flow.trace,
                     lambda x, c: flow.sample(len(x), c)):
            with pytest.raises(ValueError, match="class|context") as caught:
                call(x, wrong)
            assert len(str(caught.value)) < LONGEST and "\n" not in str(caught.value)
    for wrong in (True, 1.5, [0, 1], 3, -1, None, "a"):
        with pytest.raises(ValueError, match="class|context"):
            flow.distribution(wrong)
    with pytest.raises(ValueError, match="outside 0 to 2"):
        vmap(lambda x, c: flow.log_prob(x[None], c[None]))(x, context + 1)
    with pytest.raises(RuntimeError, match="outside 0 to 2"):
        make_fx(flow.log_prob.__func__)(flow, x, context)(flow, x, context + 1)


@cases
def test_numpy_arrays_and_lists(name, shape, classes):
    flow = make(name, shape, classes)
    x, *context = batch(flow)
    one = 1 if classes else None
    for given in (x.numpy(), x.tolist(), x.numpy()[::-1][::-1]):
        for given_context in ([c.numpy().astype(np.uint8) for c in context],
                              [c.tolist() for c in context], context):
            close(flow.log_prob(given, *given_context), flow.log_prob(x, *context))
            close(flow.inverse(given, *given_context), flow.inverse(x, *context))
            close(flow.forward(given, *given_context), flow.forward(x, *context))
            close(flow.trace(given, *given_context), flow.trace(x, *context))
        close(flow.distribution(one).log_prob(given), flow.distribution(one).log_prob(x))
    assert flow.float().log_prob(x.numpy(), *context).dtype == torch.float32
    whole = np.arange(x.numel()).reshape(x.shape)
    close(flow.log_prob(whole, *context), flow.log_prob(torch.from_numpy(whole).float(), *context))

    def drawn(n, context):
        return flow.sample(n, context, generator=torch.Generator().manual_seed(0))

    for number in (np.int64(1), np.uint8(1), np.array(1), torch.tensor(1), [1] * 5):
        close(drawn(np.int64(5), number if classes else None), drawn(5, one))
    for number in (np.int64(1), [1], np.array([1]), torch.tensor([1], dtype=torch.uint8)):
        density = flow.distribution(number if classes else None)
        close(density.log_prob(x.float()), flow.log_prob(x.float(), one))
        assert density.sample((np.int64(4), 2)).shape == (4, 2, *shape)


@cases
def test_no_points_and_no_numbers_get_one_sentence(name, shape, classes):
    flow = make(name, shape, classes)
    x, *context = batch(flow)
    one = 1 if classes else None
    density = flow.distribution(one)
    calls = [lambda wrong, call=call: call(wrong, *context) for call in (
        flow.log_prob, flow.forward, flow.inverse, flow.trace)]
    for wrong in ("abc", None, 3, object(), [[1, 2], [3]], [["a"] * 3] * 5, x[0, 0], x.long(),
                  x.to(torch.complex64), x.numpy().astype(complex), x.to("meta")):
        for call in (*calls, density.log_prob):
            with pytest.raises(ValueError) as caught:
                call(wrong)
            assert len(str(caught.value)) < LONGEST and "\n" not in str(caught.value)
    for wrong in (2.5, -1, "3", None, (2, 3)):
        with pytest.raises(ValueError, match="how many points"):
            flow.sample(wrong, one)
    for wrong in (5, "3", 2.5):
        with pytest.raises(ValueError, match="tuple"):
            density.sample(wrong)


@pytest.mark.parametrize("name", MODELS)
def test_event_shapes_and_numbers_of_numpy(name):
    model = MODELS[name]
    for given in (3, np.int64(3), (3,), [3], np.array([3]), torch.Size([3]), (np.int64(3),)):
        flow = model(given, hidden=np.array([4, 4]), classes=np.int64(2))
        assert flow.event_shape == (3,) and flow.settings.hidden == (4, 4)
        assert type(flow.event_shape[0]) is int and flow.settings.classes == 2
    if name in ON_IMAGES:
        assert model(np.array([1, 4, 4])).event_shape == (1, 4, 4)
    for wrong in (1, 0, -2, True, 2.5, "2", None, (2, 2)):
        with pytest.raises(ValidationError) as caught:
            model(wrong)
        assert "event_shape" in describe(caught.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64,
                                   torch.float8_e4m3fn, torch.float8_e5m2])
@cases
def test_files_keep_their_floating_type(name, shape, classes, dtype, tmp_path):
    flow = make(name, shape, classes).to(dtype)
    flow.save(tmp_path / "flow.safetensors")
    loaded = Flow.load(tmp_path / "flow.safetensors")
    assert loaded.dtype == dtype
    for one, other in zip(loaded.state_dict().values(), flow.state_dict().values(), strict=True):
        assert one.dtype == other.dtype and torch.equal(one.double(), other.double())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@cases
def test_half_precision_computes_both_ways(name, shape, classes, dtype):
    flow = make(name, shape, classes)
    x, *context = batch(flow)
    half = copy.deepcopy(flow).to(dtype)
    for recording in (torch.enable_grad, torch.no_grad):
        with recording():
            torch.testing.assert_close(half.log_prob(x.to(dtype), *context).double(),
                                       flow.log_prob(x, *context), rtol=0.05, atol=0.5)
            torch.testing.assert_close(half.forward(x.to(dtype), *context)[0].double(),
                                       flow.forward(x, *context)[0], rtol=0.05, atol=0.1)


def test_weight_normalisation_is_pytorchs():
    torch.manual_seed(0)
    own = WeightNormed(3, 4, 3).double()
    torch.manual_seed(0)
    torchs = parametrizations.weight_norm(nn.Conv2d(3, 4, 3, padding=1)).double()
    assert [*dict(own.named_parameters())] == [*dict(torchs.named_parameters())]
    shake(own)
    torchs.load_state_dict(own.state_dict())
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    close(own(x), torchs(x))
    close(*(torch.autograd.grad(net(x).sin().sum(), list(net.parameters()))
            for net in (own, torchs)))
