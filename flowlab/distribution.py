"""Flows as distributions of `torch.distributions`."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from flowlab import flow_input


class FlowDistribution(Distribution):
    """A flow as a ``torch.distributions.Distribution``; made by `Flow.distribution`."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, flow: Any, context: Tensor | int | None = None) -> None:
        count = context.numel() if isinstance(context, Tensor) else np.size(np.asarray(context))
        if count != 1:
            raise ValueError("A distribution is for one class: give context as one integer.")
        classes = flow_input.classes(context, 1, flow)
        self.flow, self.context = flow, None if classes is None else classes[0]
        super().__init__(torch.Size(), torch.Size(flow.event_shape), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """All real vectors."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def rsample(self, sample_shape: torch.Size | Sequence[int] = ()) -> Tensor:
        """Points of shape ``sample_shape + event_shape``, differentiable in the parameters."""
        try:
            n = torch.Size(sample_shape).numel()
        except TypeError as error:
            raise ValueError("Give the sample's shape as a tuple, such as (1000,).") from error
        x, _ = self.flow.forward(self.flow.base_sample(n), self.context)
        return x.reshape(*sample_shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, shape ``value.shape`` without the event's dimensions."""
        value = flow_input.tensor(value, self.flow)
        lead = max(0, value.ndim - len(self.event_shape))
        shape, event_shape = value.shape[:lead], value.shape[lead:]
        x = value.reshape(shape.numel(), *event_shape)
        return self.flow.log_prob(x, self.context).reshape(shape)
