"""``python -m flowlab.limits``: see `flowlab.server.limits`."""

import sys

from flowlab.server.limits import *  # noqa: F403
from flowlab.server.limits import main

if __name__ == "__main__":
    sys.exit(main())
