"""Tar shards: every member is an image, a label, or named as neither; none takes more memory than it has."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepenough.data.finding import Finding
from deepenough.data.sources import Source, open_source
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION
from deepenough.errors import DeepenoughError

HARD, SYMBOLIC = tarfile.LNKTYPE, tarfile.SYMTYPE
Member = tuple[str, bytes | str | tuple[bytes, str]]


def write(file: Path, *members: Member) -> Path:
    """A shard of (name, content), or of (name, (type of link, target))."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as shard:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                info.type, info.linkname = content
                shard.addfile(info)
                continue
            data = content.encode() if isinstance(content, str) else content
            info.size = len(data)
            shard.addfile(info, io.BytesIO(data))
    return file


def content(source: Source) -> dict[str, tuple[str, str]]:
    """The content and class of each image, by its name in the shard."""
    rows = zip(source.names, source.labels, strict=True)
    return {
        name.partition(".tar/")[2]: (bytes(source.read(row)).decode(), source.classes[label])
        for row, (name, label) in enumerate(rows)
    }


def findings(source: Source) -> set[tuple[str, str]]:
    def pair(finding: Finding) -> tuple[str, str]:
        return finding.kind, finding.name

    return set(map(pair, source.findings))


def test_names_with_dots_and_fields(tmp_path: Path) -> None:
    members: list[Member] = []
    for image, label in (
        ("a/1.png", "a/1.cls"),
        ("v1.2.jpg", "v1.2.cls"),
        ("v1.3.jpg", "v1.3.cls"),
        ("0001.image.png", "0001.label.cls"),
        ("b/1.input.PNG", "b/1.target.cls"),
        ("c.jfif", "c.cls.txt"),
        ("d.img", "d.label.txt"),
        ("e.webp", "e.json"),
    ):
        value = str(len(members) % 4 // 2)
        members += [(image, image), (label, f'{{"label": {value}}}' if label.endswith("json") else value)]
    source = open_source(write(tmp_path / "x.tar", *members))
    expected = {image: (image, str(place % 2)) for place, (image, _) in enumerate(members[::2])}
    assert content(source) == expected
    assert source.findings == ()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.permutations([("png", "image"), ("cls", "1"), ("txt", "a caption"), ("json", '{"label": "0"}')]))
def test_the_class_decides_before_captions_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[Member]
) -> None:
    file = tmp_path_factory.mktemp("shard") / "x.tar"
    other: list[Member] = [("b.txt", "another"), ("b.png", "b"), ("c.png", "c"), ("c.cls", "0")]
    source = open_source(write(file, *((f"a.{ending}", data) for ending, data in order), *other))
    assert content(source) == {"a.png": ("image", "1"), "c.png": ("c", "0")}
    assert findings(source) == {("unlabelled", "x.tar/b.png")}


def test_text_is_the_label_where_there_is_nothing_else(tmp_path: Path) -> None:
    source = open_source(
        write(tmp_path / "x.tar", ("a.png", "1"), ("a.txt", "cat"), ("b.png", "2"), ("b.txt", "dog\n"))
    )
    assert content(source) == {"a.png": ("1", "cat"), "b.png": ("2", "dog")}


def test_links_stand_for_what_they_lead_to(tmp_path: Path) -> None:
    source = open_source(
        write(
            tmp_path / "x.tar",
            ("./a.png", "A"),
            ("./a.cls", "0"),
            ("d/b.png", (SYMBOLIC, "../a.png")),
            ("d/b.cls", "1"),
            ("c.png", (HARD, "./a.png")),
            ("c.cls", (HARD, "a.cls")),
            ("e.png", (HARD, "c.png")),
            ("e.cls", "1"),
            ("gone.png", (SYMBOLIC, "/etc/passwd")),
            ("round.png", (SYMBOLIC, "round.png")),
            ("notes", (SYMBOLIC, "a.png")),
        )
    )
    assert content(source) == {"a.png": ("A", "0"), "d/b.png": ("A", "1"), "c.png": ("A", "0"), "e.png": ("A", "1")}
    assert findings(source) == {("missing", "x.tar/gone.png"), ("missing", "x.tar/round.png")}


def test_what_is_neither_image_nor_label_is_counted(tmp_path: Path) -> None:
    pipe = tarfile.TarInfo("pipe.png")
    pipe.type = tarfile.FIFOTYPE
    members: list[Member] = [
        (f"{n}.{e}", d) for n in range(4) for e, d in (("png", "x"), ("cls", str(n % 2)), ("npy", "y"))
    ]
    file = write(
        tmp_path / "x.tar",
        *members,
        ("5.png", "x"),
        ("._1.png", "x"),
        ("6.left.png", "x"),
        ("6.right.png", "x"),
        ("6.cls", "1"),
    )
    with tarfile.open(file, "a") as shard:
        shard.addfile(pipe)
    source = open_source(file)
    assert len(source) == 4
    assert findings(source) == {
        ("ignored", "x.tar/0.npy, x.tar/1.npy, x.tar/2.npy and 1 more"),
        ("ignored", "x.tar/._1.png"),
        ("ignored", "x.tar/6.left.png, x.tar/6.right.png"),
        ("unlabelled", "x.tar/5.png"),
        ("not-a-file", "x.tar/pipe.png"),
    }


def test_lists_of_classes_lose_their_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes("\ufeffcat\r\ndog\r\n\r\n".encode())
    write(
        tmp_path / "train.tar",
        ("a.png", "1"),
        ("a.cls", "1"),
        ("b.png", "2"),
        ("b.cls", "0.0"),
        ("c.png", ""),
        ("c.cls", "-1"),
    )
    write(tmp_path / "test.tar", ("a.png", "3"), ("a.cls", "cat"), ("b.png", "4"), ("b.json", '{"label": ["dog"]}'))
    source = open_source(tmp_path)
    assert source.classes == ("cat", "dog")
    assert [source.classes[row] for row in source.labels] == ["cat", "dog", "dog", "cat"]
    assert findings(source) == {("unlabelled", "train.tar/c.png")}
    write(tmp_path / "train.tar", ("a.png", "1"), ("a.cls", "2"))
    with pytest.raises(DeepenoughError, match="the label 2 has no line among the 2 class names"):
        open_source(tmp_path)


def test_shards_in_split_folders(tmp_path: Path) -> None:
    for folder in ("training", "dev", "test", "."):
        write(tmp_path / folder / "0.tar", ("a.png", "1"), ("a.cls", "a"), ("b.png", "2"), ("b.cls", "b"))
    source = open_source(tmp_path)
    assert Counter(source.splits.tolist()) == {TRAIN: 2, VALIDATION: 2, TEST: 2, UNASSIGNED: 2}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("cat/1.png", "1"), ("dog/2.png", "2")], r"2 images and no labels .*class folders \(cat, dog\): unpack it"),
        ([("1.png", "1"), ("2.png", "2")], r"2 images and no labels .*0001\.cls beside"),
        ([("1.cls", "1")], "no images in it"),
        ([("1.png", "1"), ("1.json", '{"label": [1, 2]}')], r"image 1: it has several labels \(1, 2\)"),
        ([("1.png", "1"), ("1.cls", "9" * 6000)], "its label has 6,000 characters"),
    ],
)
def test_shards_without_one_label_an_image_say_so(tmp_path: Path, members: list[Member], words: str) -> None:
    with pytest.raises(DeepenoughError, match=words):
        open_source(write(tmp_path / "x.tar", *members))


def test_hostile_json_is_no_label(tmp_path: Path) -> None:
    good: list[Member] = [("a.png", "1"), ("a.cls", "0"), ("b.png", "1"), ("b.cls", "1")]
    for text in (
        "[" * 100_000,
        f'{{"label": {"9" * 6_000}}}',
        "{",
        '{"label": {"a": 1}}',
        '{"label": NaN}',
        '"\\ud800',
    ):
        source = open_source(write(tmp_path / "x.tar", *good, ("c.png", "2"), ("c.json", text)))
        assert len(source) == 2
        assert findings(source) == {("unlabelled", "x.tar/c.png")}


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
@pytest.mark.parametrize("size", [1 << 33, 10**15])
def test_members_that_claim_more_than_there_is(tmp_path: Path, kind: bytes, size: int) -> None:
    file = write(tmp_path / "x.tar", ("a.png", "1"), ("a.cls", "0"))
    claim = tarfile.TarInfo("b.cls")
    claim.type, claim.size = kind, size
    file.write_bytes(file.read_bytes()[: 4 * 512] + claim.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(DeepenoughError, match=rf"x\.tar: not a readable tar file \(.*{size:,} bytes.*fetch it again"):
        open_source(file)


def test_shards_that_are_damaged_joined_or_packed(tmp_path: Path) -> None:
    file = write(tmp_path / "x.tar", *((f"{n}.{e}", str(n % 2)) for n in range(4) for e in ("png", "cls")))
    whole = file.read_bytes()
    broken = bytearray(whole)
    broken[4 * 1024 + 20] ^= 1
    for changed, words in (
        (bytes(broken), "the header at byte 4,096 is damaged"),
        (whole + whole, "more follows behind its end"),
        (gzip.compress(whole), r"it is compressed \(gzip\)"),
        (whole[:2300], "not a readable tar file"),
        (b"", "not a readable tar file"),
    ):
        file.write_bytes(changed)
        with pytest.raises(DeepenoughError, match=words):
            open_source(file)


def test_labels_that_are_not_utf_8_stay_different(tmp_path: Path) -> None:
    latin = {
        f"{row}.{end}": word.encode("latin-1") for row, word in enumerate(("Bär", "Bör")) for end in ("png", "cls")
    }
    source = open_source(write(tmp_path / "x.tar", *latin.items()))
    assert source.classes == (r"B\xe4r", r"B\xf6r")
    assert source.labels.tolist() == [0, 1]


def test_several_images_of_every_sample_are_the_reason_of_the_refusal(tmp_path: Path) -> None:
    members = [(f"{row}.{end}", str(row)) for row in range(2) for end in ("left.png", "right.png", "cls")]
    with pytest.raises(DeepenoughError, match=r"several images each, .*which of them the label means .*0\.left\.png"):
        open_source(write(tmp_path / "x.tar", *members))


def test_one_image_without_a_label_is_one(tmp_path: Path) -> None:
    with pytest.raises(DeepenoughError, match="1 image and no labels"):
        open_source(write(tmp_path / "x.tar", ("0.png", "x"), ("0.json", "[" * 200_000)))


def test_a_long_chain_of_links_is_followed_once(tmp_path: Path) -> None:
    links = [(f"{row}.png", (SYMBOLIC, f"{row + 1}.png")) for row in range(20_000)]
    members: list[Member] = [*links, ("20000.png", "picture"), *[(f"{row}.cls", str(row % 2)) for row in range(20_001)]]
    members += [("a.png", (HARD, "b.png")), ("b.png", (HARD, "a.png")), ("c.png", (HARD, "a.png"))]
    source = open_source(write(tmp_path / "x.tar", *members))
    assert len(source) == 20_001
    assert {content for content, _ in content(source).values()} == {"picture"}
    assert findings(source) == {("missing", f"x.tar/{name}.png") for name in "abc"}


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("0.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 12
    header[148:156] = b"%06o\0 " % (8 * 32 + sum(header[:148]) + sum(header[156:512]))
    (tmp_path / "x.tar").write_bytes(bytes(header) + b"\0" * 1024)
    with pytest.raises(DeepenoughError, match="claims -"):
        open_source(tmp_path / "x.tar")
