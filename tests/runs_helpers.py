"""Runs for the tests of the store: small, and made without a training where that will do."""

import io
from dataclasses import replace

import torch
from PIL import Image

from flowlab.live import Frame, InMemory
from flowlab.settings import RunSettings
from flowlab.training import Moment, Snapshot
from models import RECIPES


def settings(model: str = "nice", **changes: object) -> RunSettings:
    small = {"hidden": (8, 8), "epochs": 4, "points": 200}
    return RECIPES[model].Run.from_flat({**small, **changes})


def picture(side: int = 4) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), "#336699").save(file, "png")
    return file.getvalue()


def frames(run: RunSettings, epochs: int = 4, png: bytes | None = None) -> list[Frame]:
    """One frame an epoch, as a training of ten batches an epoch would have given them."""
    flow = RECIPES[run.model].model(**dict(run.flow))  # its data may be gone
    weights = flow.to_bytes()
    found = []
    for n in range(1, epochs + 1):
        moment = Moment(n, run.training.epochs, 10 * n, 10 * run.training.epochs, n / 2, 1e-3,
                        2.0 - n / 10, 2.1 - n / 10, loss=float("nan"), kl=1.0 - n / 10,
                        best_nll=1.1, inverse_error=1e-6, reason="",
                        outcome="finished" if n == run.training.epochs else "running")
        found.append(Frame(moment, (moment.completed,),
                           InMemory(picture() if png is None else png, weights)))
    start = Snapshot.fresh(flow, 1e-3)
    found[-1] = replace(found[-1], snapshot=replace(start, epoch=epochs, step=10 * epochs))
    return found


def kept(store, outcome: str = "finished", name: str = "", **changes: object) -> str:
    """The id of a run that is over."""
    chosen = settings(**changes)
    run_id = store.begin(chosen, name=name)
    store.record(run_id, frames(chosen))
    store.end(run_id, outcome)
    return run_id


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def same_flow(one: Frame, other: Frame) -> bool:
    return same(one.flow().state_dict(), other.flow().state_dict())
