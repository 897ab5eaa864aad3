"""``python -m striate``: the command line, where its script is not on the path."""

import sys

from striate.cli import main

if __name__ == "__main__":
    sys.exit(main())
