"""``python -m splitgym.profiling`` is ``splitgym-profile``."""

import sys

from .command import main

sys.exit(main())
