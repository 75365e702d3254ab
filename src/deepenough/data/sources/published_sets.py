"""The data sets that are known by name: how a copy looks, and where they are published.

The SHA-256 are those of TensorFlow Datasets 4.9.10, which fetches the same files, and from the same addresses but for
MNIST: its four files, of the same names and sizes, come from another mirror there.
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
    """A file of a data set: its name, its SHA-256, and about how many megabytes it has."""

    name: str
    sha256: str
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
    """MNIST's four files, with SHA-256 and megabytes of each."""
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
            ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9.9),
            ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 0.03),
            ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1.6),
            ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 0.01),
        ),
    ),
    "fashion-mnist": PublishedSet(
        (IDX,),
        (*_inside(("fashion-mnist",), "FashionMNIST/raw"), "fashion-mnist"),
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        _idx_files(
            ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26.4),
            ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 0.03),
            ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4.4),
            ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 0.01),
        ),
        otherwise="on Debian and Ubuntu `apt install dataset-fashion-mnist` brings it, too",
    ),
    "kmnist": PublishedSet(
        (IDX,),
        (*_inside(("kmnist",), "KMNIST/raw"), "kmnist"),
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        _idx_files(
            ("51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4", 18.2),
            ("e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17", 0.03),
            ("edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5", 3.1),
            ("20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c", 0.01),
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
        (SetFile("cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170.1),),
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
        (
            SetFile(
                "cifar-100-binary.tar.gz", "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec", 168.5
            ),
        ),
        Bounds(200, 100),
        "cifar-100-binary",
    ),
    "svhn": PublishedSet(
        (Layout(Svhn.is_at, Svhn),),
        ("svhn", "SVHN", ""),
        "http://ufldl.stanford.edu/housenumbers/",
        (
            SetFile("train_32x32.mat", "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8", 182),
            SetFile("test_32x32.mat", "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b", 64.3),
        ),
    ),
    "flowers102": PublishedSet(
        (Layout(Flowers.is_at, Flowers),),
        (*_inside(("flowers102", "Flowers102"), "flowers-102"), "flowers102", "oxford-102-flowers"),
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        (
            SetFile("102flowers.tgz", "2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246", 344.9),
            SetFile("imagelabels.mat", "4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d", 0.01),
            SetFile("setid.mat", "46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd", 0.02),
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
        (SetFile("imagenette2-320.tgz", "569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c", 341.7),),
        Bounds(700, 30_000),
        "imagenette2-320",
    ),
}
"""Every data set with a name but `digits`, which comes with scikit-learn."""
