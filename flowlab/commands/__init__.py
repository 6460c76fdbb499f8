"""The command lines: training, sweeps, comparisons."""
