"""For the operator of a server: limits, admission, the log, and counters."""
