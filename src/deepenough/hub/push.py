"""Push the model of a run to the Hugging Face hub, with its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepenough.errors import DeepenoughError
from deepenough.files import SUMS
from deepenough.hub.card import CARD, CONFIG, card_text, config_text, read_finished
from deepenough.hub.refusals import check_name, in_sentences, library
from deepenough.model import FILES

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

MESSAGE = "Push a model of deepenough"
_OF_ANY_REPOSITORY = {".gitattributes", CARD, "LICENSE"}


@dataclass(frozen=True)
class Pushed:
    """A model on the hub: its repository, page and commit."""

    repository: str
    url: str
    commit: str


def push(
    run: str | Path, repository: str, *, private: bool = False, message: str = MESSAGE, card: str | Path | None = None
) -> Pushed:
    """Push the model of a finished run to a repository `user/name`, in one commit; a new one is made where needed.

    Args:
        run: the folder of the run.
        repository: where to; one that holds something other than a model of ours is refused, and left as it is.
        private: keep a new repository private. An existing one has to be private already.
        message: of the commit.
        card: a file in Markdown to push as the model card instead of `card_text`.
    """
    check_name(repository)
    found = read_finished(Path(run))
    written = card_text(found, repository).encode() if card is None else _own_card(Path(card))
    contents: dict[str, bytes | Path] = {name: found.folder / name for name in (*FILES, SUMS)}
    contents |= {CONFIG: config_text(found).encode(), CARD: written}
    hub = library("deepenough push")
    if not hub.get_token():
        raise DeepenoughError(
            f"push to {repository!r}: no token of the Hugging Face hub; log in with `hf auth login`, or set HF_TOKEN"
        )
    api = hub.HfApi(library_name="deepenough")
    with in_sentences(f"push to {repository!r}", writing=True):
        before = _existing(api, repository)
        if before is None:
            api.create_repo(repository, private=private or None, exist_ok=True)
        else:
            _check_ours(before, repository, private)
        done = api.create_commit(
            repository,
            [hub.CommitOperationAdd(name, content) for name, content in contents.items()],
            commit_message=message,
            parent_commit=before.sha if before else None,  # so that nobody else's commit is written over
        )
    return Pushed(repository, f"{api.endpoint}/{repository}", done.oid)


def _own_card(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DeepenoughError(f"--card {path}: it can't be read ({error.strerror}); name a file in Markdown") from None


def _existing(api: HfApi, repository: str) -> ModelInfo | None:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return api.model_info(repository)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError as error:
        if error.response.status_code == 404:
            return None
        raise


def _check_ours(before: ModelInfo, repository: str, private: bool) -> None:
    """Raise where a repository holds another kind of model, or is public and shouldn't be."""
    names = {each.rfilename for each in before.siblings or ()}
    if names - _OF_ANY_REPOSITORY and not {*FILES, SUMS} <= names:
        other = ", ".join(sorted(names - _OF_ANY_REPOSITORY)[:3])
        raise DeepenoughError(
            f"push to {repository!r}: it holds something other than a model of deepenough ({other}); nothing was "
            "changed. Name another repository"
        )
    if private and not before.private:
        raise DeepenoughError(
            f"push to {repository!r}: it exists and is public, so --private can't be kept; nothing was changed. Make "
            "it private in its settings, or name another repository"
        )
