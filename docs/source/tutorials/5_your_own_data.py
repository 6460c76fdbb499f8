"""
Your own data
=============

Anything that is a table of numbers can be learned: rows are points, columns are coordinates. Here
are a CSV file, an NPY file, a density in four dimensions, and one that depends on a class.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_iris

from flowlab.figures import loss_curves
from flowlab.training import TrainingSettings, train
from realnvp import RealNVP

# %%
# A file to read
# --------------
#
# We need some first: 150 flowers, measured in centimetres, in a CSV file and an NPY file.

iris = load_iris()
folder = tempfile.TemporaryDirectory()
csv, npy = Path(folder.name) / "iris.csv", Path(folder.name) / "iris.npy"
np.savetxt(csv, iris.data, delimiter=",", header=",".join(iris.feature_names))
np.save(npy, iris.data)

# %%
# Read it
# -------
#
# ``allow_pickle=False`` matters for files from others: with pickles allowed, a file could run code
# on your machine.

table = np.loadtxt(csv, delimiter=",", dtype=np.float32, ndmin=2)
same = np.load(npy, allow_pickle=False)
print(table.shape, np.allclose(table, same))

# %%
# Rows with gaps are left out: training data must be finite, and the training raises an error if
# they are not.

table = table[np.isfinite(table).all(axis=1)]
points = torch.from_numpy(table)

# %%
# Train
# -----
#
# A tensor can take the place of a target. Nothing needs to be scaled: the flow's last layer does
# that, and densities come out in the data's own units, here per cm⁴.
#
# With so few points a flow soon memorises them. The test loss shows it, and ``patience``
# stops when it has not fallen for 20 epochs, with the best weights. A small network and some weight
# decay help.

torch.manual_seed(0)
flow = RealNVP(event_shape=(4,), couplings=4, hidden=(16,), activation="tanh")
settings = TrainingSettings(epochs=300, batch_size=64, learning_rate=3e-3, schedule="constant",
                            weight_decay=0.01, patience=20)
history = []
for progress in train(flow, points, settings):
    history.append((progress.epoch, progress.train_nll, progress.test_nll))
print(f"{progress.outcome} after epoch {progress.epoch}. {progress.reason}")

figure = loss_curves(*zip(*history, strict=True))
figure.set_label("The training loss keeps falling; the test loss falls, then levels off, and the "
                 "training ends.")

# %%
# The density of your points is not known, so there is no KL and no dashed line: only losses to
# compare.
#
# Use it
# ------
#
# Draw new flowers, and see how typical the old ones are. The least likely are worth a second look.

print("drawn:", flow.sample(3).numpy().round(1), sep="\n")
log_q = flow.log_prob(points)
odd = log_q.argsort()[:3]
print("least likely:", odd.tolist(), points[odd].numpy(), sep="\n")

# %%
# With classes
# ------------
#
# ``classes`` gives a density for each class. Train on a pair: points, and their classes as
# integers.

labels = torch.from_numpy(iris.target)
torch.manual_seed(0)
flow = RealNVP(event_shape=(4,), couplings=4, hidden=(16,), activation="tanh", classes=3)
*_, progress = train(flow, (points, labels), settings)
print(f"{progress.outcome} after epoch {progress.epoch}: test NLL {progress.test_nll:.3f} nats")

# %%
# By Bayes' rule a density for each class is also a classifier: all classes are equally frequent
# here, so the class under which a flower is most likely is the best guess.

with torch.no_grad():
    scores = torch.stack([flow.log_prob(points, torch.full_like(labels, c)) for c in range(3)], 1)
print(f"right: {(scores.argmax(1) == labels).float().mean():.0%}")
for c, name in enumerate(iris.target_names):
    print(f"{name:10}", flow.sample(500, context=c).mean(0).numpy().round(1))

folder.cleanup()
