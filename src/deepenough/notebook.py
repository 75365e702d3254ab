"""The notebook that this process is the kernel of, if it is one."""

from __future__ import annotations

import sys


def in_notebook() -> bool:
    """True in a kernel of Jupyter, or of what is built on it, as Colab and VS Code; False in IPython's terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
