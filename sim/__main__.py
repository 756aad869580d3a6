"""`python -m sim` is the `flopgrid` command."""

import sys

from sim.cli.main import main

sys.exit(main())
