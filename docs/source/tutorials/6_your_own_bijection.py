"""
Write your own bijection
========================

A layer is a class with two methods, ``forward`` and ``inverse``; each returns the points and the
log-determinant. Three checks tell whether it is right. Here we write one that is not in any of the
three papers, see it pass, see a wrong one fail, and build it into a flow.
"""

import torch
from matplotlib.figure import Figure

from flowlab import Bijection, Flow
from flowlab.bijections import AffineCoupling
from flowlab.data import target
from flowlab.figures import grid_points, style
from flowlab.settings import CouplingSettings
from flowlab.training import TrainingSettings, train

# %%
# The idea
# --------
#
# Turn every point around the centre, by an angle that depends on its distance :math:`r`:
#
# .. math:: x = R(\alpha(r))\, z, \qquad \alpha(r) = \sum_k a_k\, e^{-(r - c_k)^2}
#
# Turning keeps the distance, so the inverse knows the angle too, and turns back. Each circle is
# only rotated, so no volume changes: the log-determinant is 0.


class Swirl(Bijection):
    """Turns the plane around its centre, each circle by its own learned angle."""

    def __init__(self):
        super().__init__()
        self.angles = torch.nn.Parameter(torch.zeros(5))
        self.register_buffer("radii", torch.linspace(0, 3, 5))

    def turn(self, points, sign):
        r = points.norm(dim=1, keepdim=True)
        angle = sign * ((-(r - self.radii).square()).exp() * self.angles).sum(1)
        c, s = angle.cos(), angle.sin()
        x, y = points.T
        turned = torch.stack((c * x - s * y, s * x + c * y), 1)
        return turned, points.new_zeros(len(points))

    def forward(self, z, context=None):
        return self.turn(z, 1)

    def inverse(self, x, context=None):
        return self.turn(x, -1)


# %%
# The invariants
# --------------
#
# 1. A round trip returns the same point.
# 2. Both log-determinants are those of the Jacobian, by automatic differentiation. (To compare only
#    one direction with the other is not enough: both could be wrong, with opposite signs.)
# 3. What happens to one point does not depend on the others in the batch.
#
# In double precision, with parameters away from their start, where nothing is the identity.


def check(layer, features=2):
    layer = layer.double()
    for parameter in layer.parameters():
        parameter.data += torch.randn_like(parameter)
    points = torch.randn(20, features).double()
    x, log_det = layer.forward(points)
    back, back_log_det = layer.inverse(x)
    torch.testing.assert_close(back, points, atol=1e-10, rtol=0)
    for function, at, given in ((layer.forward, points, log_det), (layer.inverse, x, back_log_det)):
        jacobians = [torch.autograd.functional.jacobian(lambda v, f=function: f(v[None])[0][0], p)
                     for p in at]
        expected = torch.linalg.slogdet(torch.stack(jacobians))[1]
        torch.testing.assert_close(given, expected, atol=1e-10, rtol=1e-8)
    torch.testing.assert_close(layer.forward(points[:1])[0], x[:1])
    return "all three hold"


torch.manual_seed(0)
print("Swirl:", check(Swirl()))

# %%
# A mistake, caught
# -----------------
#
# Let the swirl also stretch, and forget the log-determinant. The round trip still works; the second
# check fails.


class ForgetfulSwirl(Swirl):
    """Doubles all distances, and claims that no volume changed."""

    def forward(self, z, context=None):
        x, log_det = self.turn(z, 1)
        return 2 * x, log_det

    def inverse(self, x, context=None):
        return self.turn(x / 2, -1)


try:
    check(ForgetfulSwirl())
except AssertionError as error:
    print(str(error).splitlines()[0])

# %%
# In a flow
# ---------
#
# A model is a ``Settings`` class and a ``build`` method that lists the layers, latent first.
# Standardising the data, the density, sampling, saving and loading come with ``Flow``.


class SwirlFlow(Flow):
    """Two affine couplings, a swirl after each."""

    Settings = CouplingSettings

    def build(self, settings):
        return [layer for flip in (False, True)
                for layer in (AffineCoupling(2, flip, settings.hidden), Swirl())]


class NoSwirlFlow(Flow):
    """The same without swirls, to compare."""

    Settings = CouplingSettings

    def build(self, settings):
        return [AffineCoupling(2, flip, settings.hidden) for flip in (False, True)]


# %%
# The whole flow has to keep the invariants as well. Then train both on a pinwheel, whose blades are
# bent just like that: the swirls help a lot.

print("SwirlFlow:", check(SwirlFlow(hidden=(16,))))

pinwheel = target("pinwheel")
flows = []
for model in (NoSwirlFlow, SwirlFlow):
    torch.manual_seed(0)
    flow = model()
    *_, progress = train(flow, pinwheel, TrainingSettings(epochs=40, points=10_000))
    flows.append(flow.eval())
    print(f"{model.__name__:12} KL to the truth {progress.kl:.3f} nats")

# %%

size = 150
grid = torch.as_tensor(grid_points(pinwheel.limits, size), dtype=torch.float32)
with torch.no_grad():
    densities = {"the truth": pinwheel.log_prob(grid), "couplings": flows[0].log_prob(grid),
                 "couplings and swirls": flows[1].log_prob(grid)}
highest = densities["the truth"].exp().max().item()
figure = Figure(figsize=(10, 3.7), layout="constrained")
for axes, (name, log_q) in zip(figure.subplots(1, 3), densities.items(), strict=True):
    axes.imshow(log_q.exp().reshape(size, size), origin="lower", extent=pinwheel.limits,
                cmap=style.theme("light").densities(), vmin=0, vmax=highest)
    axes.set_title(name)
figure.set_label("Three densities on one scale: the true pinwheel of five bent blades, what two "
                 "couplings make of it, and the clearer blades of two couplings with swirls.")
