"""What pictures are computed from: arrays of a flow, its densities, its layers."""
