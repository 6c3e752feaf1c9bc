"""`python -m kerasbn` is the command."""

import sys

from kerasbn.cli import main

sys.exit(main())
