"""``python -m flowlab.status``: see `flowlab.server.status`."""

import sys

from flowlab.server.status import *  # noqa: F403
from flowlab.server.status import main

if __name__ == "__main__":
    sys.exit(main())
