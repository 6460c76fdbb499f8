"""Whether a training may start here: what is asked for, beside the operator's limits."""

from flowlab.server.limits import limits
from flowlab.settings import RunSettings
from flowlab.training.metrics import parameter_count
from flowlab.training.recipe import fitted, source_of


def check(settings: RunSettings, epochs: bool = True) -> None:
    """Refuse a training that is too long or too large.

    Parameters
    ----------
    settings : RunSettings
    epochs : bool
        Whether its epochs count: not where another budget ends it.

    Raises
    ------
    flowlab.server.limits.Exceeded
        With one sentence that names the limit.
    """
    asked = settings.training.epochs
    if epochs:
        limits().refuse("max_epochs", asked, f"This training has {asked:,} epochs",
                        "ask for fewer")
    if limits().max_parameters is not None:
        size = parameter_count(fitted(settings.flow, source_of(settings.source)))
        limits().refuse("max_parameters", size, f"This flow has {size:,} parameters",
                        "take fewer or narrower layers")


def check_count(asked: int, active: int) -> None:
    """Refuse more trainings than one visitor may have at once.

    Parameters
    ----------
    asked : int
        How many are to start.
    active : int
        How many the visitor has in the queue and under way.

    Raises
    ------
    flowlab.server.limits.Exceeded
        With one sentence that names the limit.
    """
    what = (f"You have {active:,} in the queue or under way" if asked == 1
            else f"This would be {asked:,} trainings at once" if not active
            else f"This would be {asked:,} trainings besides your {active:,} under way")
    limits().refuse("max_runs", asked + active, what, "wait, or stop one" if asked == 1
                    else "take fewer")


def check_room(used: int) -> None:
    """Refuse a training where the runs take all the room on disk that they may.

    Parameters
    ----------
    used : int
        Bytes of all runs.

    Raises
    ------
    flowlab.server.limits.Exceeded
        With one sentence that names the limit.
    """
    limits().refuse("max_disk", used / 1e6, f"All runs take {used / 1e6:,.0f} MB on disk",
                    "delete some that are no longer needed")
