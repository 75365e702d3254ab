"""The data sets that are known by name: how a copy looks, and where they are published.

The checksums are those that torchvision 0.28 publishes, and for the binary version of CIFAR those of its own page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepenough.data.sources.base import Source
from deepenough.data.sources.cifar import Cifar
from deepenough.data.sources.flowers import Flowers
from deepenough.data.sources.idx import Idx
from deepenough.data.sources.imagenette import Imagenette
from deepenough.data.sources.npz import Npz
from deepenough.data.sources.svhn import Svhn
from deepenough.data.sources.unpack import Bounds


@dataclass(frozen=True)
class Layout:
    """A way of keeping a data set: whether all of it lies at a path, and the source there, with a name."""

    is_whole: Callable[[Path], bool]
    open: Callable[[Path, str], Source]


@dataclass(frozen=True)
class SetFile:
    """A file of a data set: its name, its published MD5, and about how many megabytes it has."""

    name: str
    md5: str
    megabytes: float


@dataclass(frozen=True)
class PublishedSet:
    """A data set with a name.

    `places` are where a copy may lie in a folder of data sets. `files` are published at `url`; where the first is an
    archive, `bounds` says what may come out of it, and `folder` where in it a copy is. `otherwise` is another way to
    have it on this machine.
    """

    layouts: tuple[Layout, ...]
    places: tuple[str, ...]
    url: str
    files: tuple[SetFile, ...]
    bounds: Bounds | None = None
    folder: str = ""
    otherwise: str = ""

    @property
    def megabytes(self) -> float:
        """About what has to be fetched, and comes out of the archive."""
        return sum(file.megabytes for file in self.files) + (self.bounds.megabytes if self.bounds else 0)


IDX = Layout(Idx.is_whole, Idx)
CIFAR = Layout(Cifar.is_at, Cifar)


def _idx_files(*files: tuple[str, float]) -> tuple[SetFile, ...]:
    """MNIST's four files, with MD5 and megabytes of each."""
    names = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    return tuple(SetFile(name, *file) for name, file in zip(names, files, strict=True))


def _inside(folders: tuple[str, ...], *places: str) -> tuple[str, ...]:
    """The places, by themselves and in folders that people keep them in."""
    return (*places, *(f"{folder}/{place}" for folder in folders for place in places))


SETS = {
    "mnist": PublishedSet(
        (IDX, Layout(Npz.is_at, Npz)),
        (*_inside(("mnist",), "MNIST/raw"), "mnist", "mnist.npz"),
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        _idx_files(
            ("f68b3c2dcbeaaa9fbdd348bbdeb94873", 9.9),
            ("d53e105ee54ea40749a09fcbcd1e9432", 0.03),
            ("9fb629c4189551a2d022fa330f9573f3", 1.6),
            ("ec29112dd5afa0611ce80d1b7f02629c", 0.01),
        ),
    ),
    "fashion-mnist": PublishedSet(
        (IDX,),
        (*_inside(("fashion-mnist",), "FashionMNIST/raw"), "fashion-mnist"),
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        _idx_files(
            ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26.4),
            ("25c81989df183df01b3e8a0aad5dffbe", 0.03),
            ("bef4ecab320f06d8554ea6380940ec79", 4.4),
            ("bb300cfdad3c16e7a12a480ee83cd310", 0.01),
        ),
        otherwise="on Debian and Ubuntu `apt install dataset-fashion-mnist` brings it, too",
    ),
    "kmnist": PublishedSet(
        (IDX,),
        (*_inside(("kmnist",), "KMNIST/raw"), "kmnist"),
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        _idx_files(
            ("bdb82020997e1d708af4cf47b453dcf7", 18.2),
            ("e144d726b3acfaa3e44228e80efcd344", 0.03),
            ("5c965bf0a639b31b8f53240b1b52f4d7", 3.1),
            ("7320c461ea6c1c855c0b718fb2a4b134", 0.01),
        ),
    ),
    "cifar10": PublishedSet(
        (CIFAR,),
        (
            *_inside(("cifar10", "CIFAR10", "cifar-10"), "cifar-10-batches-bin", "cifar-10-batches-py"),
            "cifar-10-batches-py-target/cifar-10-batches-py",
            "cifar10",
        ),
        "https://www.cs.toronto.edu/~kriz/",
        (SetFile("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 170.1),),
        Bounds(200, 100),
        "cifar-10-batches-bin",
    ),
    "cifar100": PublishedSet(
        (CIFAR,),
        (
            *_inside(("cifar100", "CIFAR100", "cifar-100"), "cifar-100-binary", "cifar-100-python"),
            "cifar-100-python-target/cifar-100-python",
            "cifar100",
        ),
        "https://www.cs.toronto.edu/~kriz/",
        (SetFile("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", 168.5),),
        Bounds(200, 100),
        "cifar-100-binary",
    ),
    "svhn": PublishedSet(
        (Layout(Svhn.is_at, Svhn),),
        ("svhn", "SVHN", ""),
        "http://ufldl.stanford.edu/housenumbers/",
        (
            SetFile("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373", 182),
            SetFile("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", 64.3),
        ),
    ),
    "flowers102": PublishedSet(
        (Layout(Flowers.is_at, Flowers),),
        (*_inside(("flowers102", "Flowers102"), "flowers-102"), "flowers102", "oxford-102-flowers"),
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        (
            SetFile("102flowers.tgz", "52808999861908f626f3c1f4e79d11fa", 344.9),
            SetFile("imagelabels.mat", "e0620be6f572b9609742df49c70aed4d", 0.01),
            SetFile("setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c", 0.02),
        ),
        Bounds(700, 20_000),
    ),
    "imagenette": PublishedSet(
        (Layout(Imagenette.is_at, Imagenette),),
        (
            *_inside(("imagenette", "Imagenette"), "imagenette2", "imagenette2-320", "imagenette2-160"),
            "imagenette",
        ),
        "https://s3.amazonaws.com/fast-ai-imageclas/",
        (SetFile("imagenette2-320.tgz", "3df6f0d01a2c9592104656642f5e78a3", 341.7),),
        Bounds(700, 30_000),
        "imagenette2-320",
    ),
}
"""Every data set with a name but `digits`, which comes with scikit-learn."""
