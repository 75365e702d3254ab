"""Pretrained weights from a file, of whatever format: its content tells, never its name."""

from __future__ import annotations

import zipfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from deepenough.errors import DeepenoughError, nearest, unknown
from deepenough.files import sha256
from deepenough.nets.network import Network
from deepenough.weights.exported_program import program_refused
from deepenough.weights.graphs.graph import GraphError
from deepenough.weights.inputs import (
    INPUT_FILE,
    configured_input,
    described_input,
    for_images,
    image_input,
    json_beside,
    small_file,
)
from deepenough.weights.misfit import MisfitError, RedefinedError
from deepenough.weights.preset_names import PRESETS
from deepenough.weights.published import published_as
from deepenough.weights.saved_model import SAVED_MODEL, check_is_no_checkpoint, digest, file_of
from deepenough.weights.weights import Weights

if TYPE_CHECKING:
    from deepenough.weights.description import OwnDescription
    from deepenough.weights.fit import Fitted
    from deepenough.weights.graphs.described import Described
    from deepenough.weights.stated import StatedNetwork

HDF5 = b"\x89HDF\r\n\x1a\n"
TORCH_LEGACY = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"  # the number that torch.save began files with until 1.6
CAFFE_STARTS = (b"\x0a", b"\x12", b"\xa2\x06")  # NetParameter's name, V1 layers, layer
LFS = b"version https://git-lfs"

ONNX_START = b"\x08"  # ModelProto's ir_version

WEIGHT_FORMATS = (
    "torch (.pth, .pt), safetensors, Keras (.weights.h5, .keras, .h5, a SavedModel's folder of Keras 2), Caffe "
    "(.caffemodel), PaddlePaddle (.pdparams) and ONNX (.onnx)"
)

GRAPH_READERS = {"caffe": "read_caffe_graph", "keras": "read_keras_graph", "onnx": "read_onnx_graph"}
"""The functions that read the network which a file describes, by the module of its format."""

PUBLISHERS = ("torchvision", "timm", "transformers")
"""Sources of files beside which a publisher's configuration counts."""

NETWORK_FILE = "network.json"
"""Beside a file of weights, it says of which network they are: deepenough's, or by a table of names anyone's."""


def read_weights(
    path: str | Path, *, network: str | None = None, preprocess: str | None = None, needs_head: bool = True
) -> Weights:
    """Read the weights in a file, in the network of the zoo that they were trained as, or in the one it describes.

    A folder has to be a SavedModel. `network` is needed where the file's tensors fit several networks and its source is
    not evident, and may be given always. The preprocessing is `preprocess` (one of `PRESETS`), else that of a
    `preprocess.json` beside the file, else what the file's source is known to use, or what an ONNX file says itself;
    where a `network.json` lies beside another file, one of the first two or timm's `config.json` has to say it. A
    tensor of the network that is missing or of another shape is an error; one that is not of it is an error too where
    it lies among those that are, else named in the notes.

    A file without a classifier, or with one of another kind, is an error, too, unless `needs_head` is False: the state
    then lacks the classifier's tensors.

    Of what `deepenough export` and `fit` wrote, the `network.json` beside the file says what it is; with a table of
    names one does so for anyone's file (`stated.py`). Files of Caffe, ONNX and Keras describe their networks: what fits
    none of the zoo is read as its file says, if it is made of layers that are known here.
    """
    path = file_of(Path(path))
    _check_exists(path)
    if preprocess is not None and preprocess not in PRESETS:
        raise unknown("preprocessing", preprocess, PRESETS)
    own = _own(path)
    if own is not None and network not in (None, own.network.name):
        raise DeepenoughError(
            f"{path} is of the network {own.network.name}, as {path.with_name(NETWORK_FILE)} says, not of {network}"
        )
    reader = _reader(path)
    if reader[0] == "onnx" and own is not None and own.is_foreign:
        raise DeepenoughError(
            f"{path} describes its own network, so there is no use for the names in {path.with_name(NETWORK_FILE)}; "
            "take it away"
        )
    known, trouble = _zoo_network(path, reader, network, own, needs_head=needs_head)
    description = _description(path, known) if own is None else None
    if known is not None and (description is None or _agree(path, known, description, network)):
        return _of_zoo(path, preprocess, known, own, network, description)
    described = description.described if description is not None else _described(path, reader[0], network, own, trouble)
    if described is None:
        assert trouble is not None
        raise trouble
    net, changed = described.network, _changed(known, trouble)
    try:
        wanted = described_input(path, preprocess, net, described.input)
    except DeepenoughError as error:
        if not changed:
            raise
        raise type(error)("\n".join((f"{path}: {changed[0]}", str(error)))) from None
    return Weights(
        _name(path),
        reader[0],
        for_images(net, wanted, path),
        described.state,
        wanted,
        _digest(path),
        described.classes or _classes(path, net),
        notes=(*changed, *described.all_notes),
    )


Known = tuple[str, "Fitted"]
"""A source, and the network of the zoo that a file's tensors fit."""


def _zoo_network(
    path: Path, reader: tuple[str, str], network: str | None, own: StatedNetwork | None, *, needs_head: bool
) -> tuple[Known | None, DeepenoughError | None]:
    """The network of the zoo that a file's tensors fit, or what keeps it from being one."""
    if reader[0] == "onnx":
        return None, None
    try:
        known = _open(path, reader, network, own)
    except MisfitError as error:
        return None, error
    return (None, _headless(path, known[1])) if known[1].headless and needs_head else (known, None)


def _description(path: Path, known: Known | None) -> OwnDescription | None:
    """The description that a file has of its own network, beside the one of the zoo whose tensors it has."""
    if known is None:
        return None
    from deepenough.weights.description import own_description

    return own_description(path, *known)


def _agree(path: Path, known: Known, description: OwnDescription, network: str | None) -> bool:
    """Tell whether the network of the zoo is the one that the file describes, as far as it can be read; an error where
    it isn't and the user named it."""
    from deepenough.weights.description import computes_the_same

    if description.described is None or computes_the_same(known[1], description.described):
        return True
    if network is not None:
        raise DeepenoughError(
            f"{path} has the tensors of {network}, but describes a network with other strides, activations or pooling; "
            "without --network it is read as it describes itself"
        )
    return False


def _changed(known: Known | None, trouble: DeepenoughError | None) -> tuple[str, ...]:
    """Say that a file with the tensors of a network of the zoo is read as it describes itself."""
    if known is not None:
        name = known[1].network.name
        return (f"it has the tensors of {name}, but is read as it describes itself, which computes something else",)
    return (f"read as it describes itself: {trouble}",) if isinstance(trouble, RedefinedError) else ()


def _of_zoo(
    path: Path,
    preprocess: str | None,
    known: Known,
    own: StatedNetwork | None,
    network: str | None,
    description: OwnDescription | None,
) -> Weights:
    """The weights of a network that is known here; files of Keras and Caffe may have a `description` of it, too."""
    from deepenough.weights.described import rival_inputs

    source, fitted = known
    stated = published_as(path, network) if own is None and source in PUBLISHERS else None
    if stated is not None:
        source = stated.source
    images = stated.input if stated else None
    told: tuple[str, ...] = ()
    if own is not None:
        configured, told = configured_input(path, preprocess, fitted.network)
        wanted = described_input(path, preprocess, fitted.network, configured)
    else:
        if description is not None and preprocess is None:
            from deepenough.weights.description import images_of

            images = images_of(path, source, fitted.network, description.described) or images
        wanted = image_input(path, preprocess, source, fitted.network, images)
    classes = stated.classes if stated is not None else None
    guessed = preprocess is None and stated is None and own is None and not path.with_name(INPUT_FILE).is_file()
    notes = (
        *fitted.notes,
        *told,
        *(rival_inputs(source, fitted.network) if guessed else stated.notes if stated else ()),
    )
    if description is not None:
        notes += description.notes_of(fitted.network, source, guessed=guessed and images is None)
    return Weights(
        _name(path),
        source,
        for_images(fitted.network, wanted, path),
        fitted.state,
        wanted,
        _digest(path),
        _classes(path, fitted.network) if own is not None else _as_many(classes, fitted),
        headless=fitted.headless,
        notes=notes,
    )


def _as_many(classes: tuple[str, ...] | None, fitted: Fitted) -> tuple[str, ...] | None:
    """The names of classes, where they are those of the file's head."""
    whole = classes is not None and not fitted.headless and len(classes) == fitted.network.classes
    return classes if whole else None


def _headless(path: Path, fitted: Fitted) -> DeepenoughError:
    """The error for a file that lacks what is asked for."""
    return DeepenoughError(
        f"{path} holds {fitted.network.name} without its head, or with another one ({'; '.join(fitted.notes)}); "
        "it can't classify. `deepenough fit DATA --weights FILE` starts from it, and makes a head of its own"
    )


def _described(
    path: Path, form: str, network: str | None, own: StatedNetwork | None, trouble: DeepenoughError | None
) -> Described | None:
    """The network that a file describes itself; None where its format has no description.

    `trouble` is what kept it from being a network of the zoo, and is told with what is wrong with the description.
    """
    if form not in GRAPH_READERS or (form != "onnx" and (own is not None or network is not None)):
        return None
    module = import_module(f"deepenough.weights.graphs.{form}")
    try:
        found: Described | None = getattr(module, GRAPH_READERS[form])(path, *_usual(trouble))
    except GraphError as error:
        if trouble is None:
            raise
        raise type(error)(f"{trouble}\nNor can it be read as its file describes it: {error}") from None
    if found is not None and network not in (None, found.network.name):
        raise DeepenoughError(f"{path} describes the network {found.network.name}, not {network}")
    return found


def _usual(trouble: DeepenoughError | None) -> tuple[tuple[int, int, int], ...]:
    """The shape of the images of the network whose tensors a file has, which its definitions change; else nothing."""
    if not isinstance(trouble, RedefinedError) or trouble.network is None:
        return ()
    from deepenough.weights.description import usual_shape

    return (usual_shape(trouble.network),)


def _own(path: Path) -> StatedNetwork | None:
    """Read the network that is described beside a file of weights."""
    beside = path.with_name(NETWORK_FILE)
    if not beside.is_file():
        return None
    stated: StatedNetwork = import_module("deepenough.weights.stated").stated_network(beside, small_file(beside))
    return stated


def _classes(path: Path, net: Network) -> tuple[str, ...] | None:
    names = json_beside(path, INPUT_FILE).get("classes")
    return tuple(map(str, names)) if isinstance(names, list) and len(names) == net.classes else None


def _name(path: Path) -> str:
    """The name of the weights in a file, which for a SavedModel is the folder's."""
    return path.resolve().parent.name if path.name == SAVED_MODEL else path.name


def _digest(path: Path) -> str:
    return digest(path) if path.name == SAVED_MODEL else sha256(path)


def _check_exists(path: Path) -> None:
    check_is_no_checkpoint(path)
    if path.is_file():
        return
    if path.is_dir():
        raise DeepenoughError(f"{path} is a folder; expected weights: {WEIGHT_FORMATS}")
    siblings = [entry.name for entry in path.parent.iterdir() if entry.is_file()] if path.parent.is_dir() else []
    near = nearest(path.name, siblings)
    hint = f"; nearest there {'is' if len(near) == 1 else 'are'} {', '.join(near)}" if near else ""
    if not path.parent.is_dir():
        hint = f": there is no folder {path.parent}"
    raise DeepenoughError(f"there is no file {path}{hint}")


def _open(path: Path, reader: tuple[str, str], network: str | None, own: StatedNetwork | None) -> Known:
    """Read source and network by a reader, which takes `own`, the network that is stated beside the file."""
    # Readers come with torch, which takes seconds: they are imported when there is something to read.
    module, function = reader
    opened: Known = getattr(import_module(f"deepenough.weights.{module}"), function)(path, network, own)
    return opened


def _reader(path: Path) -> tuple[str, str]:
    """Return module and function that read the format of a file, which its first bytes tell."""
    if path.name == SAVED_MODEL:  # which begins as ONNX does
        return "keras", "read_keras"
    with path.open("rb") as file:
        start = file.read(512)
    found = _reader_of(path, start)
    if found is None:
        raise DeepenoughError(f"{path} is {_guess(start)}; known are {WEIGHT_FORMATS}")
    return found


def _reader_of(path: Path, start: bytes) -> tuple[str, str] | None:
    if start.startswith(b"PK\x03\x04"):
        members = _members(path)
        if any(member.endswith("data.pkl") for member in members):
            return "torchvision", "read_torch"
        if any(member.endswith("models/model.json") for member in members):
            raise program_refused(str(path))
        return ("keras", "read_keras") if "model.weights.h5" in members else None
    if start.startswith(HDF5):
        return "keras", "read_keras"
    if _is_safetensors(start, path.stat().st_size):
        return "torchvision", "read_safetensors"
    if start.startswith(b"\x80") and start[1:2] in b"\x02\x03\x04\x05":
        return ("torchvision", "read_torch") if TORCH_LEGACY in start[:32] else ("paddle", "read_paddle")
    if start.startswith(ONNX_START):
        return "onnx", ""
    return ("caffe", "read_caffe") if start.startswith(CAFFE_STARTS) else None


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except zipfile.BadZipFile as error:
        raise DeepenoughError(f"{path} is a damaged archive ({error}); fetch it again") from None


def _is_safetensors(start: bytes, size: int) -> bool:
    return len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8


def _guess(start: bytes) -> str:
    if not start:
        return "empty"
    if start.startswith(LFS):
        return "a pointer of Git LFS, not the weights (`git lfs pull` fetches them)"
    if start.lstrip()[:1] == b"<":
        return "a web page, not weights"
    return "of a format that is not known"
