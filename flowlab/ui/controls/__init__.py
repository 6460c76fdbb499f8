"""Controls of settings and data, and the links that carry them."""
