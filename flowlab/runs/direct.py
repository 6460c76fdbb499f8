"""Keeps a training that runs in this very process, as those of the command line do."""

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
    """Pass a training on as it is, and keep it; the last moment with its picture.

    Parameters
    ----------
    progresses : generator of Progress
        As a recipe's ``train`` yields them; frames are made of those that end an epoch.
    settings : RunSettings
    store : Store, optional
        Where to keep it; the usual folder when left out.
    continued : bool
        Whether it goes on from a trained flow.
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
            progresses.close()  # so that the flow, within an epoch, is as it is measured
            if progress is not None:
                writer.put(run_id, [film.frame(progress, True, last=True)])
            writer.end(run_id, outcome, reason)
