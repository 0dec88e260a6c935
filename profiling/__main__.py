"""``python -m splitgym.profiling`` is ``splitgym-profile``."""

import sys

from .measure.command import main

sys.exit(main())
