"""``python -m flowlab.comparison``: see `flowlab.commands.compare`."""

import sys

from flowlab.commands.compare import main
from flowlab.studies.comparison import *  # noqa: F403

if __name__ == "__main__":
    sys.exit(main())
