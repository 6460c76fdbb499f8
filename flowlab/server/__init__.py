"""For whoever runs a server: limits, admission, the log, and counters."""
