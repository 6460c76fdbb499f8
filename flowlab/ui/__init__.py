"""What the pages share: controls made from settings, the live view, and the lab behind them."""
