"""What most tests of training train, on what."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import make_images, make_network

from deepenough.nets import Network


@pytest.fixture(scope="session")
def images() -> Any:
    return make_images()


@pytest.fixture(scope="session")
def network() -> Network:
    return make_network()


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
