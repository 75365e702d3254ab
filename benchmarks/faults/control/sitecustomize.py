"""Break processes that the fork server starts; those that they start themselves are whole. See `broken.py`."""

import os
import sys
from pathlib import Path

if "deepenough" in sys.modules:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from broken import break_process

    break_process(os.environ["FAULT_BROKEN"])
