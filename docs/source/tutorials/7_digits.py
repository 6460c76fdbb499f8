"""
Digits
======

A small Glow learns images of digits, one class at a time if you like, and tells how many bits
storing one would take. More epochs give more readable digits; this page has to be built in seconds.
"""

import torch
from matplotlib.figure import Figure

from flowlab.data import dequantise, image_set
from flowlab.training import TrainingSettings, train
from glow import Glow

# %%
# The data
# --------
#
# 1,797 digits of 8 × 8 pixels come with scikit-learn. A pixel is a whole number from 0 to 16.

digits = image_set("digits")
print(digits.title, digits.event_shape, f"{digits.grey_levels} grey levels,", len(digits), "images")

# %%
# A density of whole numbers makes no sense, so noise between 0 and 1 is added to each pixel. The
# training does this by itself, with fresh noise at every step.

test, labels = digits.part(test=True)
x = dequantise(test, torch.Generator().manual_seed(0))
print(test[0, 0, 2].tolist(), [round(value, 2) for value in x[0, 0, 2].tolist()])

# %%
# Train
# -----
#
# Two levels: half of the latents hold details, the other half goes through all layers. With
# ``classes`` every coupling and every prior is given the class of the digit.

torch.manual_seed(0)
flow = Glow(event_shape=digits.event_shape, grey_levels=digits.grey_levels, classes=10, levels=2,
            steps=4, hidden_channels=32)
settings = TrainingSettings(epochs=9, batch_size=96, learning_rate=4e-3, averaging=50)
for progress in train(flow, digits, settings):
    if progress.epoch % 3 == 0:
        print(f"epoch {progress.epoch}: {progress.train_bits:.2f} bits per dimension, on test "
              f"images {progress.test_bits:.2f}")

# %%
# Without any model a pixel takes log₂ 17 = 4.09 bits.
#
# Draw
# ----
#
# A row for each class, at a lower temperature: a little less varied, but more often readable.

drawn = torch.cat([flow.sample(8, context=c, temperature=0.7,
                               generator=torch.Generator().manual_seed(1)) for c in range(10)])


def sheet(images: torch.Tensor, columns: int, label: str) -> Figure:
    """Images side by side in one picture."""
    rows = images[:, 0].clamp(0, 16).unflatten(0, (-1, columns))
    figure = Figure(figsize=(columns / 2, len(rows) / 2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(rows.transpose(1, 2).flatten(0, 1).flatten(1), cmap="gray_r", vmin=0, vmax=16)
    axes.set_axis_off()
    figure.set_label(label)
    return figure


figure = sheet(drawn, 8, "Ten rows of eight small blurry digits drawn by the flow, a class a row.")

# %%
# What the scales encode
# ----------------------
#
# All latents are one tensor in the image's shape. `flowlab.flow.Flow.scales` says which entries
# belong to which scale. Keep the coarse ones of a test image and resample the fine ones: the digit
# stays, the details change.

z, _ = flow.inverse(x[:8], labels[:8])
fresh = flow.base_sample(8, generator=torch.Generator().manual_seed(2))
mixed = torch.where(flow.scales() == 0, 0.7 * fresh, z)
with torch.no_grad():
    other, back = flow.forward(mixed, labels[:8])[0], flow.forward(z, labels[:8])[0]
print(f"after a round trip, the largest error is {(back - x[:8]).abs().max():.1e} grey levels")

scales = sheet(torch.cat([x[:8], other]), 8,
               "Eight test digits, and below them the same with fresh details.")
