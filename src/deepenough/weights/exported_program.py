"""Files that `torch.export.save` wrote (.pt2), which are refused."""

from __future__ import annotations

from deepenough.errors import DeepenoughError

PROGRAM_SUFFIX = ".pt2"


def program_refused(given: str) -> DeepenoughError:
    """The error for such a file; `given` says which."""
    return DeepenoughError(
        f"{given} is a program of torch.export ({PROGRAM_SUFFIX}), which torch reads by unpickling and by evaluating "
        "expressions of it, so that code in it may run. Give the module that it was made of (`deepenough fit --network "
        "module:function`), or write it as ONNX; if you trust the file, the function may return "
        "torch.export.load(FILE), exported for any number of images"
    )


def check_is_no_program(network: str | None) -> None:
    """Raise the error where what `--network` names is such a file."""
    if network is not None and network.lower().endswith(PROGRAM_SUFFIX):
        raise program_refused(f"--network {network}: this")
