"""Errors of the hub and of its library, as sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from deepenough.errors import DeepenoughError, first_line

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"


def library(what: str) -> ModuleType:
    """The `huggingface_hub` library, which `what` needs."""
    try:
        import huggingface_hub
    except ImportError:
        raise DeepenoughError(
            f"{what} needs the huggingface_hub library, which is not installed: pip install 'deepenough[hub]'"
        ) from None
    return huggingface_hub


def check_name(given: str) -> str:
    """The name of a repository, if it is one: `user/name`."""
    if not re.fullmatch(f"{_PART}/{_PART}", given) or "--" in given or ".." in given or given.endswith(".git"):
        raise DeepenoughError(
            f"repository {given!r}: expected USER/NAME (or ORGANIZATION/NAME) of letters, digits, '-', '_' and '.', "
            "such as ann/flowers"
        )
    return given


@contextmanager
def in_sentences(what: str, *, writing: bool) -> Iterator[None]:
    """Raise the errors of the hub and of its library as sentences about `what`."""
    from huggingface_hub import constants, errors

    try:
        yield
    except (DeepenoughError, KeyboardInterrupt):
        raise
    except errors.OfflineModeIsEnabled:
        raise DeepenoughError(f"{what}: HF_HUB_OFFLINE is set; unset it to reach the hub") from None
    except errors.GatedRepoError:
        raise DeepenoughError(
            f"{what}: its owner grants access on request; ask for it at {constants.ENDPOINT}, then log in"
        ) from None
    except errors.LocalEntryNotFoundError:  # before 1.0 of the library an HfHubHTTPError, without an answer
        offline = constants.HF_HUB_OFFLINE
        reason = "HF_HUB_OFFLINE is set; unset it to reach the hub" if offline else _unreachable(constants.ENDPOINT)
        raise DeepenoughError(f"{what}: no copy of it was kept, and {reason}") from None
    except errors.HfHubHTTPError as error:
        raise DeepenoughError(f"{what}: {_refused(error, writing)}") from None
    except Exception as error:  # httpx's, requests' or the system's, by the version of the library
        if _is_of_network(error):
            raise DeepenoughError(f"{what}: {_unreachable(constants.ENDPOINT)} ({first_line(error)})") from None
        raise DeepenoughError(f"{what}: {first_line(error)}") from None


def _unreachable(endpoint: str) -> str:
    return f"{endpoint} can't be reached; check the network and HF_ENDPOINT, and try again"


def _is_of_network(error: BaseException) -> bool:
    """Tell if a connection failed, by the names that all HTTP libraries have for it."""
    names = {each.__name__ for each in type(error).__mro__}
    return bool(names & {"ConnectionError", "TransportError", "Timeout", "TimeoutException", "TimeoutError"})


def _refused(error: OSError, writing: bool) -> str:
    """The reason of an answer other than success, and what to do."""
    status = error.response.status_code  # type: ignore[attr-defined]
    if status == 401 and writing:
        return "the hub doesn't know the token; log in with `hf auth login`, or set HF_TOKEN to one that can write"
    if status == 403:
        todo = "use a token that can write there, or a repository of your own" if writing else "ask its owner for it"
        return f"you have no permission; {todo}"
    if status in (401, 404):
        return (
            "there is no such repository or revision, or it is private; check the name, or log in with `hf auth login`"
        )
    if status in (409, 412):
        return "it was changed by someone else meanwhile; push again"
    if status == 429:
        return "the hub asks for fewer requests; wait a few minutes and try again"
    said = getattr(error, "server_message", None) or first_line(error)
    return f"the hub answered HTTP {status} ({said}); try again later"
