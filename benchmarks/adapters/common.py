"""What the PyTorch adapters share."""

from collections.abc import Iterator

import numpy as np
import torch

LAYERS, HIDDEN = 8, 64
BINS, BOUND = 8, 5.0  # of splines


class Torch:
    """An adapter around ``self.flow``, a module; subclasses give ``_log_prob`` and the rest."""

    flow: torch.nn.Module

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        return -self._log_prob(x).mean()

    def fit(self, x: np.ndarray, learning_rate: float, batch_size: int) -> Iterator[int]:
        """Adam on shuffled batches, as the libraries' examples have it."""
        adam = torch.optim.Adam(self.flow.parameters(), lr=learning_rate)
        data = torch.from_numpy(x)
        self.flow.train()
        while True:
            for batch in data[torch.randperm(len(data))].split(batch_size):
                if len(batch) < batch_size:
                    break
                adam.zero_grad()
                loss = self.loss(batch)
                if not torch.isnan(loss):
                    loss.backward()
                    adam.step()
                yield 1

    @torch.no_grad()
    def log_prob(self, x: np.ndarray) -> np.ndarray:
        self.flow.eval()
        value = self._log_prob(torch.from_numpy(x)).numpy()
        self.flow.train()
        return value

    @torch.no_grad()
    def sample(self, n: int) -> np.ndarray:
        self.flow.eval()
        return self._sample(n).numpy()

    @torch.no_grad()
    def round_trip(self, x: np.ndarray) -> np.ndarray:
        self.flow.eval()
        return self._round_trip(torch.from_numpy(x)).numpy()

    def parameters(self) -> int:
        return sum(p.numel() for p in self.flow.parameters() if p.requires_grad)
