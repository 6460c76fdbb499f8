"""``python -m flowlab.sweep``: see `flowlab.commands.sweep`."""

import sys

from flowlab.commands.sweep import main
from flowlab.studies.sweep import *  # noqa: F403

if __name__ == "__main__":
    sys.exit(main())
