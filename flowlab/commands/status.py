"""Exit statuses of commands, and one sentence for each error."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from pydantic import ValidationError

from flowlab.commands.stopping import INTERRUPTED
from flowlab.files import trouble
from flowlab.settings import describe


def fail(sentence: str) -> int:
    """Print an error, and return the exit status."""
    print(f"error: {sentence}", file=sys.stderr)
    return 2


def with_status(main: Callable[..., int]) -> Callable[..., int]:
    """Let a command return an exit status for what its user can mend, after a sentence on it."""
    @wraps(main)
    def command(*args: Any, **kwargs: Any) -> int:
        try:
            return main(*args, **kwargs)
        except KeyboardInterrupt:
            print("Stopped before the training began: there is nothing to save.")
            return INTERRUPTED
        except ValidationError as error:
            return fail(describe(error))
        except OSError as error:
            return fail(trouble(error))
        except ValueError as error:
            return fail(str(error))
    return command
