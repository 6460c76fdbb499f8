"""Stores a training that runs in this process, as on the command line."""

import secrets
from collections.abc import Generator

from flowlab.live import Film
from flowlab.runs.store import Store
from flowlab.runs.writer import Writer
from flowlab.settings import RunSettings
from flowlab.training import Progress


def keep(progresses: Generator[Progress, float | None, None], settings: RunSettings, *,
         store: Store | None = None, continued: bool = False
         ) -> Generator[Progress, float | None, None]:
    """Pass a training's progress through, and store the training, with a picture of its end.

    Parameters
    ----------
    progresses : generator of Progress
        From a recipe's ``train``; frames are made at ends of epochs.
    settings : RunSettings
    store : Store, optional
        Where to store the run; by default the usual folder.
    continued : bool
        Whether the training starts from a trained flow.
    """
    run_id, progress, film = secrets.token_hex(8), None, Film(settings, pictures="end")
    with Writer(store or Store()) as writer:
        writer.begin(run_id, settings, origin="command", continued=continued)
        outcome, reason = "stopped", ""
        try:
            for progress in progresses:
                frame = film.frame(progress, progress.snapshot is not None and film.due())
                if frame is not None:
                    writer.put(run_id, [frame])
                yield progress
            if progress is not None:
                outcome, reason = progress.outcome, progress.reason
        except Exception as error:
            if progress is not None:
                outcome, reason = "failed", str(error)
            raise
        finally:
            progresses.close()  # within an epoch, this gives the flow its averaged weights
            if progress is not None:
                frame = film.frame(progress, True, last=True)
                writer.put(run_id, [] if frame is None else [frame])
            writer.end(run_id, outcome, reason)
