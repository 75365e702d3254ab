"""The pages of commands and options are current, and the Chinese one says all that the English one says."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from seen_page import TERMS

from deepenough.cli import document
from deepenough.cli.app import cli
from deepenough.cli.document import CATALOGUE, COMMANDS, document_command, messages, options_page
from deepenough.language import Language, room_catalogue

ROOT = Path(__file__).resolve().parents[2]
CHINESE = room_catalogue("cli")
CODE = re.compile(r"`([^`]*)`")
WORD = re.compile("[A-Za-z]{2,}")
PLACES = re.compile(r"\{\w+\}")
HAN = re.compile(r"[\u4e00-\u9fff]")
# Options, placeholders of values, abbreviations, and numbers: the same in any language.
NAMES = re.compile(r"--[a-z][a-z-]*|[A-Z][A-Z_]+|\{\w+\}|\d+(?:[.,]\d+)*")
# What else is the same in any language, beside the values of options and what Chinese pages leave in Latin letters.
KNOWN = {
    "deepenough", "Ctrl", "Markdown", "README", "HTTP", "HTTPS", "YAML", "CSV", "IDX", "GPU", "GiB", "us", "ms",
    "Python", "PyTorch", "Keras", "JAX", "torchvision", "timm", "transformers", "Hugging", "Face", "hub", "hf",
    "WebDataset", "Parquet", "tar", "TensorBoard", "MLflow", "Weights", "Biases", "TorchInductor", "Ray", "ResNet",
    "Nesterov", "Muon", "AdamW", "beta", "Beta", "alpha", "mixup", "gradcam", "localhost", "bearer", "args", "yaml",
    "predict", "py", "config", "export", "nets", "make", "exports", "lab", "runs", "train", "validation", "test",
    "digits", "mnist", "fashion", "kmnist", "cifar", "svhn", "flowers", "imagenette",
    "alexnet", "vgg", "googlenet", "resnet",
}  # fmt: skip


def english(text: str, values: set[str]) -> set[str]:
    """The English words in a Chinese text, outside code and options."""
    plain = re.sub(r"--[a-z-]+(?: [a-z]+\b)?|(?<![A-Za-z])[A-Z][A-Z_]+(?![a-z])|\{\w+\}", " ", CODE.sub(" ", text))
    return set(WORD.findall(plain)) - TERMS - KNOWN - values


def values_of_options() -> set[str]:
    """The words in what options with fixed values can be set to."""
    found: list[str] = []
    root = click.Context(cli)
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        for option in command.params if command else ():
            found += getattr(option.type, "choices", ())
    return {word for value in found for word in WORD.findall(value)}


@pytest.mark.parametrize("language", Language)
def test_the_page_of_options_is_current(language: Language) -> None:
    *_, name = COMMANDS[language].split()
    page = ROOT / name
    assert page.is_file(), f"write {name}: {COMMANDS[language]}"
    assert page.read_text(encoding="utf-8") == options_page(language), (
        f"{name} is not what the code says; write it anew: {COMMANDS[language]}"
    )


def test_no_bar_ends_a_cell_and_no_backslash_is_shown() -> None:
    """Python-Markdown shows the backslash before a bar in code, too."""
    for language in Language:
        page = options_page(language)
        assert "\\|" not in page
        assert {line.count(" | ") for line in page.splitlines() if line.startswith("| ")} == {1}


def test_every_text_of_the_page_has_a_chinese_message_and_none_is_stale() -> None:
    asked = messages()
    assert len(asked) > 200
    then = f"then write the page: {COMMANDS[Language.CHINESE]}"
    missing = [message for message in asked if message not in CHINESE]
    assert missing == [], f"add the Chinese of these to {CATALOGUE}, {then}"
    stale = [message for message in CHINESE if message not in asked]
    assert stale == [], f"take these out of {CATALOGUE}, {then}"


def test_a_chinese_message_has_the_code_the_names_and_the_numbers_of_the_english_one() -> None:
    for message, chinese in CHINESE.items():
        if chinese == f"`{message}`":  # a value, that has spaces
            continue
        assert sorted(CODE.findall(chinese)) == sorted(CODE.findall(message)), message
        assert set(NAMES.findall(chinese)) == set(NAMES.findall(message)), message


def test_no_english_is_left_on_the_chinese_page() -> None:
    values = values_of_options()
    for message, chinese in CHINESE.items():
        assert english(chinese, values & set(WORD.findall(message))) == set(), message
        words = re.search("[a-z]{2}", PLACES.sub("", message))
        assert HAN.search(CODE.sub("", chinese)) or chinese == f"`{message}`" or not words, message
    for line in options_page(Language.CHINESE).splitlines():
        if not line.startswith("## "):  # a command
            own, _, told = line.rpartition(" | ") if line.startswith(("| `", "| <code>")) else ("", "", line)
            left = english(told, values | set(WORD.findall(own)))
            assert left == set(), f"English on the Chinese page (a default of one word is taken for a value): {line}"


def test_the_command_names_what_has_no_chinese_message(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = "Train from scratch, even where the images are photos."
    short = {message: chinese for message, chinese in CHINESE.items() if message != gone}
    monkeypatch.setattr(document, "room_catalogue", lambda _: short)
    done = CliRunner().invoke(document_command, ["--language", "zh"])
    assert done.exit_code == 1
    assert done.stdout == ""
    for part in (gone, CATALOGUE, COMMANDS[Language.CHINESE]):
        assert part in done.stderr
    assert CliRunner().invoke(document_command).stdout == options_page()


def test_what_stands_for_an_option_that_is_not_given_is_told_in_chinese() -> None:
    lines = options_page(Language.CHINESE).splitlines()
    assert "| `--port N` | 端口；0 表示任意一个空闲的端口。（默认：8000；0<=x<=65535） |" in lines
    assert any(line.endswith("为哪个框架写出。（必填） |") for line in lines)
    assert "| `--batch N` | 每一步的图片数。（默认：64，图片达到 5,000 张时为 128；微调时为 32） |" in lines
