"""Sources of images that claim, inflate, nest, lead elsewhere or never end; most have sound images beside."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from hostile_weights import PETABYTES, TEXTS, Ground
from PIL import Image

ESCAPED = "escaped"
"""The name of what would lie outside if a source could put it there."""

OUTSIDE = f"../{ESCAPED}"
NAMES = (
    "$(mkdir {}).png",
    "`mkdir {}`.png",
    "a\nb.png",
    "<img src=x onerror=alert(1)>.png",
    "-rf.png",
    "\x1b[2J.png",
    "a" * 200 + ".png",
    "{{7*7}}.png",
    "%s%n.png",
    "..png",
    "con.png",
    "é\u0301\u202egnp.png",
)


def images(count: int = 24) -> Iterator[tuple[str, bytes, int]]:
    """Sound images: a name, a file and a label."""
    draw = np.random.default_rng(0)
    for number in range(count):
        file = io.BytesIO()
        Image.fromarray(draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file, "PNG")
        yield f"{number:04}", file.getvalue(), number % 2


def class_folders(folder: Path) -> Path:
    """A sound folder of two classes."""
    for name, content, label in images():
        place = folder / ("cat", "dog")[label]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.png").write_bytes(content)
    return folder


def _tar(file: Path, *more: tuple[tarfile.TarInfo, bytes]) -> Path:
    """A shard of sound samples, and others before, among and behind them."""
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as tar:

        def add(entry: tarfile.TarInfo, content: bytes) -> None:
            if entry.isreg():
                entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))

        for number, (name, content, label) in enumerate(images()):
            if number == 12:
                for given in more:
                    add(*given)
            add(tarfile.TarInfo(f"{name}.png"), content)
            add(tarfile.TarInfo(f"{name}.cls"), str(label).encode())
    return file


def _entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


def tar_paths(ground: Ground) -> Path:
    """Members that want to be elsewhere, or are links to elsewhere, devices and pipes."""
    content = next(images())[1]
    link = ground.draw.choice(("/etc/passwd", "/dev/zero", "../../../etc", "x.png", "0000.png"))
    kinds = (
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CHRTYPE,
        tarfile.DIRTYPE,
        tarfile.CONTTYPE,
        b"Z",
    )
    return _tar(
        ground.place / "data.tar", (_entry(OUTSIDE), b"x"), (_entry(f"{OUTSIDE}.png"), content),
        (_entry(f"{ground.place.parent}/{ESCAPED}.png"), content),
        (_entry("x.png", ground.draw.choice(kinds), link), b""), (_entry("x.cls"), b"1"),
    )  # fmt: skip


def tar_texts(ground: Ground) -> Path:
    """Labels that nest, have 6,000 digits, or are no text."""
    text = ground.draw.choice(
        (
            *TEXTS,
            b'{"label": ' + b"9" * 6_000 + b"}",
            b'{"cls": ' + b"[" * 200_000,
            b'{"label": {}}',
            b'{"label": 1e999}',
            b'{"label": -1}',
        )
    )
    ending = ground.draw.choice(("json", "json", "cls", "txt"))
    if ending != "json":
        text = ground.draw.choice(
            (b"9" * 6_000, b"\xff\xfe", b"", b"\0" * 50, b"x" * 5_000_000, b"nan", b"1e308", b"-" * 99)
        )
    return _tar(ground.place / "data.tar", (_entry("x.png"), next(images())[1]), (_entry(f"x.{ending}"), text))


def tar_claims(ground: Ground) -> Path:
    """A member of a petabyte or of less than nothing, at the beginning, the end or within."""
    file = _tar(ground.place / "data.tar")
    content, entry = file.read_bytes(), _entry("x.png")
    entry.size = ground.draw.choice((1 << 50, PETABYTES, 1 << 40))
    head = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    if ground.draw.random() < 0.4:
        head[124:136] = ground.draw.choice(
            (b"\xff" * 12, b"\x80" + b"\xff" * 11, b"77777777777\0", b"-1234567890\0", b"\xff" + bytes(11))
        )
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
    place = ground.draw.choice((0, 1024, len(content) - 10240)) // 512 * 512
    file.write_bytes(content[:place] + head + content[place:])
    return file


def tar_headers(ground: Ground) -> Path:
    """PAX headers, long names and sparse maps that claim or go on for ever."""
    pax = b"30 GNU.sparse.size=9999999999\n30 GNU.sparse.realsize=99999999\n"
    content = ground.draw.choice(
        (
            pax,
            b"9999999999 path=x\n",
            b"x" * 1_000_000,
            b"20 size=-1000000000\n",
            b"26 path=../../escaped.png\n",
            b"12 size=\xff\xff\n",
            b"0 =\n" * 100_000,
        )
    )
    kind = ground.draw.choice((b"x", b"g", b"L", b"K", b"S"))
    more = [(_entry("x.png", kind), content)] * ground.draw.choice((1, 1, 3_000))
    file = ground.place / "data.tar"
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as tar:
        for entry, text in more:
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    sound = _tar(ground.place / "sound.tar").read_bytes()
    file.write_bytes(_members(file) + sound)
    (ground.place / "sound.tar").unlink()
    return file


def _members(file: Path) -> bytes:
    """A tar without the zeros at its end."""
    content = file.read_bytes()
    return content[: (len(content.rstrip(b"\0")) + 511) // 512 * 512]


def mutated_tar(ground: Ground) -> Path:
    return _mutate(_tar(ground.place / "data.tar"), ground)


def _mutate(file: Path, ground: Ground) -> Path:
    """Other bytes in the first or last kilobyte or anywhere, or an end that is missing."""
    content = bytearray(file.read_bytes())
    for _ in range(ground.draw.choice((1, 5, 50))):
        first = ground.draw.choice((0, max(len(content) - 1024, 0), 0))
        last = ground.draw.choice((first + 1024, len(content)))
        content[ground.draw.randrange(first, min(last, len(content)))] = ground.draw.choice(
            (0, 0xFF, 0x7F, ground.draw.randrange(256))
        )
    if ground.draw.random() < 0.3:
        del content[ground.draw.randrange(len(content)) :]
    file.write_bytes(content)
    return file


def idx(ground: Ground) -> Path:
    """Sides of 2^32 - 1, more labels than images, and gzip that inflates past its header or is cut off."""
    folder = ground.place / "idx"
    folder.mkdir()
    side, count = ground.draw.choice((28, 0xFFFFFFFF, 0, 1 << 16)), ground.draw.choice((20, 0xFFFFFFFF, 0))
    pixels = struct.pack(">4I", 0x803, count, side, side) + bytes(20 * 28 * 28)
    labels = struct.pack(">2I", ground.draw.choice((0x801, 0x803, 0xC01)), count) + bytes([0, 1] * 10)
    packed = ground.draw.random() < 0.6
    if packed:
        with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb", compresslevel=1) as file:
            file.write(pixels)
            for _ in range(ground.draw.choice((0, 40, 120))):
                file.write(bytes(16 << 20))
        with gzip.open(folder / "train-labels-idx1-ubyte.gz", "wb") as file:
            file.write(labels)
        if ground.draw.random() < 0.3:
            _mutate(folder / "train-images-idx3-ubyte.gz", ground)
    else:
        (folder / "train-images-idx3-ubyte").write_bytes(pixels)
        (folder / "train-labels-idx1-ubyte").write_bytes(labels)
    return folder


def special_files(ground: Ground) -> Path:
    """Pipes, devices and links to anywhere among the images."""
    folder = class_folders(ground.place / "data")
    os.mkfifo(folder / "cat" / "pipe.png")
    for name, target in (
        ("self.png", "self.png"),
        ("zero.png", "/dev/zero"),
        ("tty.png", "/dev/tty"),
        ("passwd.png", "/etc/passwd"),
        ("proc.png", "/proc/self/mem"),
        ("gone.png", "/nowhere"),
    ):
        (folder / "dog" / name).symlink_to(target)
    extra = ground.draw.choice(("/", "..", "cat", "/proc", "/dev", "loop"))
    (folder / ground.draw.choice(("loop", "cat/loop"))).symlink_to(extra, target_is_directory=True)
    return folder


def names(ground: Ground) -> Path:
    """Names that a shell, a page, a terminal or a template would act upon, and that are no text."""
    folder = class_folders(ground.place / "data")
    for number, (_, content, _) in enumerate(images(len(NAMES))):
        (folder / "cat" / NAMES[number].format(ground.canary.name)).write_bytes(content)
    (folder / "cat").rename(
        folder
        / ground.draw.choice(
            ("<b>cat", "cat\n", "$(mkdir x)", "c\x1b[31mat", "-cat", "{{cat}}", " ", "..cat", "ca\u202et", "NaN")
        )
    )
    Path(os.fsdecode(os.fsencode(folder / "dog") + b"/\xff\xfe.png")).write_bytes(next(images())[1])
    return folder


def table(ground: Ground) -> Path:
    """A CSV of paths to elsewhere, huge fields, null characters, formulas, or columns that are missing."""
    class_folders(ground.place / "data")
    rows = [f"data/{('cat', 'dog')[label]}/{name}.png,{label}" for name, _, label in images()]
    more = ground.draw.choice((
        "../../../../etc/passwd,1", "/dev/zero,1", "/proc/self/mem,0", "data,1", "data/cat,0", '"' * 100_001,
        "x" * 5_000_000, "\0,1", "=cmd|' /C calc'!A0,1", "data/cat/0000.png," + "9" * 6_000, ",,,,",
        "http://127.0.0.1:1/x.png,1", "file:///etc/passwd,0", "\udcff.png,1",
        "~root/x.png,0", "|mkdir executed,1", "data/cat/0000.png," * 200_000,
    ))  # fmt: skip
    file = ground.place / "table.csv"
    head = ground.draw.choice(("path,label", "path,label", "label,label", ""))
    text = "\n".join([head, *rows[:12], more, *rows[12:]])
    encoding = ground.draw.choice(("utf-8", "utf-16"))
    file.write_bytes(text.encode(encoding, "surrogatepass"))
    return _mutate(file, ground) if ground.draw.random() < 0.2 else file


def metadata(ground: Ground) -> Path:
    """Hugging Face's metadata with hostile lines."""
    folder = class_folders(ground.place / "data") / "cat"
    lines = [
        b'{"file_name": "%b.png", "label": %d}' % (name.encode(), label) for name, _, label in images() if label == 0
    ]
    lines += [b'{"file_name": "../dog/%b.png", "label": 1}' % name.encode() for name, _, label in images() if label]
    lines.insert(
        5,
        ground.draw.choice(
            (
                *TEXTS,
                b'{"file_name": "/etc/passwd", "label": 1}',
                b'{"file_name": ' + b"9" * 6_000 + b', "label": 1}',
                b'{"file_name": "\\u0000", "label": 1}',
                b'{"file_name": ["0000.png"], "label": [[0]]}',
            )
        ),
    )
    (folder / "metadata.jsonl").write_bytes(b"\n".join(lines))
    return folder


def parquet(ground: Ground) -> Path:
    """Parquet with other bytes in it, columns of the wrong kinds, paths to elsewhere, or nothing but its ends."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, file = list(images()), ground.place / "train.parquet"
    labels = [label for _, _, label in rows]
    pictures: list[object] = [{"bytes": content, "path": None} for _, content, _ in rows]
    match ground.draw.randrange(6):
        case 0:
            pictures = [{"bytes": None, "path": ground.draw.choice(("/dev/zero", "/etc/passwd", "../../x"))}] * len(
                rows
            )
        case 1:
            pictures[3] = {"bytes": bytes(50_000_000), "path": "x" * 1_000_000}
        case 2:
            labels = [[[label]] for label in labels]  # type: ignore[misc]
        case 3:
            file.write_bytes(
                b"PAR1"
                + ground.draw.randbytes(500)
                + struct.pack("<I", ground.draw.choice((400, 0x7FFFFFFF, 0)))
                + b"PAR1"
            )
            return file
    metadata = {
        "huggingface": ground.draw.choice(
            (
                b"[" * 200_000,
                b"{}",
                b'{"info": 1}',
                b"\xff",
                b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": 5}}}}',
            )
        ).decode("latin-1")
    }
    pq.write_table(pa.table({"image": pictures, "label": labels}).replace_schema_metadata(metadata), file)
    return _mutate(file, ground) if ground.draw.random() < 0.6 else file


def deep_or_wide(ground: Ground) -> Path:
    """Folders 300 deep, 3,000 classes, or 20,000 files that are no images."""
    folder = class_folders(ground.place / "data")
    match ground.draw.randrange(3):
        case 0:
            deep = folder / "cat" / "/".join("d" * 5 for _ in range(300))
            deep.mkdir(parents=True)
        case 1:
            for number in range(3_000):
                (folder / f"class{number}").mkdir()
        case _:
            for number in range(20_000):
                (folder / "dog" / f"{number}.txt").write_bytes(b"x")
    return folder


def not_a_source(ground: Ground) -> Path:
    """A file of another kind under a known ending."""
    file = ground.place / ground.draw.choice(
        (
            "data.parquet",
            "data.tar",
            "data.csv",
            "data.jsonl",
            "data.npz",
            "train-images-idx3-ubyte.gz",
            "data.zip",
            "data.pkl",
        )
    )
    file.write_bytes(
        ground.draw.choice(
            (
                b"",
                bytes(600),
                ground.draw.randbytes(5_000),
                b"PK\x03\x04" + bytes(100),
                b"\x1f\x8b" + bytes(100),
                b"\x80\x04cos\nsystem\n(Vmkdir x\ntR.",
            )
        )
    )
    return file


SOURCES: dict[str, Callable[[Ground], Path]] = {
    each.__name__: each
    for each in (
        tar_paths, tar_texts, tar_claims, tar_headers, mutated_tar, idx, special_files, names, table, metadata, parquet,
        deep_or_wide, not_a_source,
    )
}  # fmt: skip
