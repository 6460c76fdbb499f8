"""``python -m flowlab.explorable``: see `flowlab.commands.explorable`."""

import sys

from flowlab.commands.explorable import main

if __name__ == "__main__":
    sys.exit(main())
