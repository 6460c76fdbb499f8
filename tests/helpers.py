"""What several tests share."""

import json

import torch
from torch import Tensor

from flowlab import Bijection
from flowlab.bijections import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    BatchNorm,
    Linear,
    Scaling,
    Standardise,
)
from models import MODELS

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

#: Every model, and every normalisation that a model offers.
FLOWS = {
    **{name: (model, {}) for name, model in MODELS.items()},
    "nice-normal": (MODELS["nice"], {"base": "normal"}),
    "realnvp-batchnorm": (MODELS["realnvp"], {"normalisation": "batchnorm"}),
    "realnvp-fixed": (MODELS["realnvp"], {"masks": "fixed"}),
    "realnvp-logistic": (MODELS["realnvp"], {"base": "logistic", "activation": "tanh"}),
    "glow-fixed": (MODELS["glow"], {"mixing": "fixed"}),
    "glow-batchnorm": (MODELS["glow"], {"normalisation": "batchnorm"}),
    "glow-none": (MODELS["glow"], {"normalisation": "none", "activation": "elu"}),
}


def make_flow(name: str, features: int = 2, **settings: object) -> Bijection:
    """A fresh flow of `FLOWS`; small networks keep the tests quick."""
    model, own = FLOWS[name]
    depth = {"steps" if model is MODELS["glow"] else "couplings": 8}
    return model(event_shape=(features,), **{"hidden": (16, 16), **depth, **own, **settings})


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
