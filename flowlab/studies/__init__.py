"""Many runs together: sweeps over settings, and comparisons of models."""
