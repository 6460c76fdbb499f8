"""What several tests share."""

import json
from collections.abc import Callable, Iterator
from typing import Literal, get_args, get_origin

import torch
from torch import Tensor

from flowlab import Bijection, Flow
from flowlab.bijections import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    BatchNorm,
    Linear,
    Scaling,
    Standardise,
)
from flowlab.training import Moment
from models import MODELS, RECIPES


def moment(step: int, seconds: float = 0.0, **numbers: object) -> Moment:
    """A moment of a training of 100 steps."""
    return Moment(**dict.fromkeys(Moment.__dataclass_fields__) | {
        "epoch": 0, "epochs": 1, "step": step, "steps": 100, "seconds": seconds,
        "outcome": "running", "reason": "", "start_epoch": 0, "reverse_kl": (),
        "epoch_steps": 0} | numbers)


#: Every layer for vectors, as a function of the number of features.
LAYERS = {
    "scaling": lambda d: Scaling((d,)),
    "actnorm": lambda d: ActNorm((d,)),
    "standardise": lambda d: Standardise((d,)),
    "batchnorm": lambda d: BatchNorm((d,)),
    "linear": Linear,
    "additive": lambda d: AdditiveCoupling(d, False),
    "additive-flipped": lambda d: AdditiveCoupling(d, True),
    "affine": lambda d: AffineCoupling(d, False),
    "affine-flipped": lambda d: AffineCoupling(d, True),
    "affine-elu": lambda d: AffineCoupling(d, False, (8, 8, 8), "elu"),
    "affine-tanh": lambda d: AffineCoupling(d, True, (8,), "tanh"),
    "affine-leaky": lambda d: AffineCoupling(d, True, (8, 4), "leaky_relu"),
}

#: The models that come with a trained flow.
TRAINED = [name for name, recipe in RECIPES.items() if (recipe.folder / "images").exists()]
#: The models that learn images too.
ON_IMAGES = [name for name, model in MODELS.items() if not model.Settings.vectors_only]


def having(model: type[Flow], **settings: object) -> dict[str, object]:
    """Those of the settings that the model has."""
    return {name: value for name, value in settings.items() if name in model.Settings.model_fields}


def small(name: str, image: bool = False, depth: int = 2) -> dict[str, object]:
    """Settings that make a model small, those that matter for images or for points."""
    settings = {"couplings": depth, "steps": depth, "hidden": (8,)}
    if image:
        settings |= {"hidden_channels": 4, "blocks": 1}
    idle = MODELS[name].Settings._points_only if image else ()
    return having(MODELS[name], **{n: v for n, v in settings.items() if n not in idle})


def further_layers() -> Iterator[tuple[str, Callable[[int], Bijection]]]:
    """Of each kind of layer that only a model names the first two: couplings of either half."""
    known = {type(make(2)) for make in LAYERS.values()}
    for name, model in MODELS.items():
        kinds = [type(layer) for layer in model().layers]
        for kind in [kind for kind in dict.fromkeys(kinds) if kind not in known]:
            for place in [i for i, other in enumerate(kinds) if other is kind][:2]:
                yield (f"{name}-{kind.__name__}-{place}",
                       lambda d, model=model, place=place: model((d,)).layers[place])


LAYERS |= dict(further_layers())


def choices(model: type[Flow]) -> Iterator[tuple[str, dict[str, object]]]:
    """Every choice that a model offers besides its defaults, such as another normalisation."""
    for name, field in model.Settings.model_fields.items():
        if get_origin(field.annotation) is Literal and field.json_schema_extra["group"] == "Model":
            yield from ((choice, {name: choice}) for choice in get_args(field.annotation)
                        if choice != field.default)


#: Every model with its defaults, and with each other choice that it offers.
FLOWS = {name: (model, {}) for name, model in MODELS.items()} | {
    f"{name}-{choice}": (model, settings)
    for name, model in MODELS.items() for choice, settings in choices(model)}


def make_flow(name: str, features: int = 2, **settings: object) -> Flow:
    """A fresh flow of `FLOWS`; small networks keep the tests quick."""
    model, own = FLOWS[name]
    small = having(model, hidden=(16, 16), couplings=8, steps=8, bins=4)
    return model(event_shape=(features,), **{**small, **own, **settings})


def shake(module: torch.nn.Module, amount: float = 0.1) -> torch.nn.Module:
    """Move every parameter and statistic off its start, so that no layer is the identity."""
    for parameter in module.parameters():
        parameter.data += amount * torch.randn_like(parameter)
    for name, buffer in module.named_buffers():
        if name.endswith(("mean", "std", "variance")):
            buffer += amount * torch.rand_like(buffer)
    return module


def jacobian_log_det(function, points: Tensor) -> Tensor:
    """log abs det of the Jacobian at every point, by autograd, one point at a time."""
    rows = [torch.autograd.functional.jacobian(lambda v: function(v[None])[0], p) for p in points]
    return torch.linalg.slogdet(torch.stack(rows))[1]


def copyable(app) -> list[str]:
    """The texts that a page, drawn by Streamlit's harness, offers to copy."""
    return [json.loads(element.proto.json)["text"] for element in app.get("bidi_component")
            if element.proto.component_name.endswith("flowlab_copy")]
