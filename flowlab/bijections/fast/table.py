"""The table of layers that the compiled loops go through, and the names of what stands in it."""

import numpy as np

BLOCK = 128  # points
LONGEST = 8  # widths of a network, from its input to its output
SCALING, ACTNORM, STANDARDISE, BATCHNORM, LINEAR, ADDITIVE, AFFINE, SPLINE = range(8)
RELU, LEAKY_RELU, ELU, TANH = range(4)
NORMAL, LOGISTIC, GIVEN, NOTHING = range(4)  # what is differentiated: see `kernels.chunk`

#: A row of the table of layers.
LAYER = np.dtype([
    ("kind", np.int64),
    ("parameters", np.int64), ("constants", np.int64),  # where they begin among the numbers,
    ("tape", np.int64),  # and the layer's rows in a block's memory
    ("momentum", np.float64), ("epsilon", np.float64),  # of batch normalisation
    ("bound", np.float64),  # of a coupling's log-scale, or of its splines,
    ("bins", np.int64),  # which have so many pieces
    ("kept", np.int64), ("keeps", np.int64),  # its halves: first row, number of rows
    ("changed", np.int64), ("changes", np.int64),
    ("activation", np.int64), ("products", np.int64), ("widths", np.int64, LONGEST),  # its network
])
