"""flowjax: its coupling flow, trained by the compiled step of its ``fit_to_data``."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import paramax
from flowjax.distributions import StandardNormal
from flowjax.flows import coupling_flow
from flowjax.train.losses import MaximumLikelihoodLoss
from flowjax.train.train_utils import step

from adapters.common import HIDDEN, LAYERS

NAME, PACKAGES = "flowjax", ("flowjax", "jax", "equinox")
MODELS = ("realnvp",)


class Adapter:
    """See the package: the library behind the common interface."""

    def __init__(self, model: str, dimension: int, seed: int) -> None:
        self.key = jr.key(seed)
        flow = coupling_flow(self._key(), base_dist=StandardNormal((dimension,)),
                             flow_layers=LAYERS, nn_width=HIDDEN, nn_depth=2)
        self.parts = eqx.partition(flow, eqx.is_inexact_array,
                                   is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable))

    @property
    def flow(self) -> eqx.Module:
        return eqx.combine(*self.parts)

    def fit(self, x: np.ndarray, learning_rate: float, batch_size: int) -> Iterator[int]:
        """Its step, which is compiled before this returns: no library's compiling is timed."""
        adam, data = optax.adam(learning_rate), jnp.asarray(x)

        def batch_step(state: tuple, start: int) -> tuple[tuple, jax.Array]:
            params, held = state
            params, held, value = step(
                params, self.parts[1], self.data[start:start + batch_size], optimizer=adam,
                opt_state=held, loss_fn=loss, key=self._key())
            return (params, held), value

        loss, self.data = MaximumLikelihoodLoss(), data
        state = self.parts[0], adam.init(self.parts[0])
        batch_step(state, 0)
        return self._epochs(batch_step, state, range(0, len(data) - batch_size + 1, batch_size))

    def _epochs(self, batch_step: Callable, state: tuple, starts: range) -> Iterator[int]:
        while True:
            self.data = jr.permutation(self._key(), self.data)
            for start in starts:
                state, value = batch_step(state, start)
            value.block_until_ready()
            self.parts = state[0], self.parts[1]
            yield len(starts)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(eqx.filter_jit(_log_prob)(self.flow, jnp.asarray(x)))

    def sample(self, n: int) -> np.ndarray:
        return np.asarray(eqx.filter_jit(_sample)(self.flow, self._key(), n))

    def round_trip(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(eqx.filter_jit(_round_trip)(self.flow, jnp.asarray(x)))

    def parameters(self) -> int:
        return sum(a.size for a in jax.tree.leaves(self.parts[0]))

    def _key(self) -> jax.Array:
        self.key, key = jr.split(self.key)
        return key


def _log_prob(flow: eqx.Module, x: jax.Array) -> jax.Array:
    return flow.log_prob(x)


def _sample(flow: eqx.Module, key: jax.Array, n: int) -> jax.Array:
    return flow.sample(key, (n,))


def _round_trip(flow: eqx.Module, x: jax.Array) -> jax.Array:
    bijection = paramax.unwrap(flow).bijection
    return jax.vmap(lambda v: bijection.transform(bijection.inverse(v)))(x)
