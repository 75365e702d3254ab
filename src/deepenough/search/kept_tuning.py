"""The configuration in which an architecture's steps are computed, as it was kept in the folder of candidates."""

from __future__ import annotations

import glob
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

from deepenough.autotuning.configuration import StepConfiguration
from deepenough.autotuning.tuning import TuningResult
from deepenough.errors import DamagedError, DamageWarning
from deepenough.files import read_checked_json, write_checked_json


def kept_tuning(path: Path, name: str, recorded: TuningResult | None) -> TuningResult | None:
    """The result for the architecture `name` that was kept in a file, None where there is none.

    Where the file is damaged, the record may have it (`recorded`); else what was trained in that configuration is given
    up, since a training can't go on in another one, and with it all that may have been grown from it or learnt from it.
    """
    try:
        return TuningResult.from_json(read_checked_json(path))
    except FileNotFoundError:
        return None
    except (DamagedError, LookupError, TypeError) as error:
        if recorded:
            warnings.warn(f"{error}; taking it from the record", DamageWarning, stacklevel=4)
            write_checked_json(path, recorded.to_json())
            return recorded
        warnings.warn(f"{error}; measuring and training {name} again", DamageWarning, stacklevel=4)
        own = glob.escape(name)
        for pattern in (own, f"{own}-seed*", f"{own}-final", "*-scout", "*-distilled*"):
            for folder in path.parent.glob(pattern):
                shutil.rmtree(folder, ignore_errors=True)
        return None


def kept_threads(path: Path, shared: StepConfiguration) -> StepConfiguration | None:
    """The configuration `shared` with the threads, and their speed, that were kept in a file; None where there is none.

    Where the file is damaged they are measured again. A training that was begun goes on with the threads of its
    checkpoint.
    """
    try:
        kept = StepConfiguration(**read_checked_json(path))
    except FileNotFoundError:
        return None
    except (DamagedError, TypeError) as error:
        warnings.warn(f"{error}; measuring it again", DamageWarning, stacklevel=4)
        return None
    return replace(shared, threads=kept.threads, seconds=kept.seconds, first=kept.first)
