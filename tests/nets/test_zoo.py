"""Published counts, for every name in the zoo by construction."""

from __future__ import annotations

import pytest

import deepenough.nets as nets
from deepenough.errors import DeepenoughError
from deepenough.nets.zoo import NETWORKS, network
from deepenough.nets.zoo.published import PUBLISHED

# name: depth, parameters (papers, FACTS, torchvision's documentation), receptive field of the last feature map.
# Fields: VGG-16 212 and the ResNets v1 483, 1027, 1507 are in Araujo et al. 2019, "Computing Receptive Fields".
COUNTS = {
    "alexnet": (8, 60_965_224, 195),
    "alexnet_torchvision": (8, 61_100_840, 195),
    "vgg11": (11, 132_863_336, 150),
    "vgg13": (13, 133_047_848, 156),
    "vgg16": (16, 138_357_544, 212),
    "vgg19": (19, 143_667_240, 268),
    "vgg11_bn": (11, 132_868_840, 150),
    "vgg13_bn": (13, 133_053_736, 156),
    "vgg16_bn": (16, 138_365_992, 212),
    "vgg19_bn": (19, 143_678_248, 268),
    "googlenet": (22, 6_998_552, 715),
    "googlenet_bn": (22, 6_624_904, 379),
    "resnet18": (18, 11_689_512, 435),
    "resnet34": (34, 21_797_672, 899),
    "resnet50": (50, 25_557_032, 483),
    "resnet101": (101, 44_549_160, 1027),
    "resnet152": (152, 60_192_808, 1507),
    "resnet18_torchvision": (18, 11_689_512, 435),
    "resnet34_torchvision": (34, 21_797_672, 899),
    "resnet50_v1_5": (50, 25_557_032, 427),
    "resnet101_v1_5": (101, 44_549_160, 971),
    "resnet152_v1_5": (152, 60_192_808, 1451),
    "alexnet_bvlc": (8, 60_965_224, 195),
    "resnet50_keras": (50, 25_557_032, 483),
    "resnet101_keras": (101, 44_549_160, 1027),
    "resnet152_keras": (152, 60_192_808, 1507),
    "squeezenet1_1": (18, 1_235_496, 207),
    "squeezenet1_1_paddle": (18, 1_235_496, 207),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_are_the_published_ones(name: str) -> None:
    net = network(name)
    assert (nets.depth(net), nets.parameters(net), nets.receptive_field(net)) == COUNTS[name]
    assert net.name == name
    assert net.classes == 1000
    assert net.source
    assert net.variant


@pytest.mark.parametrize("name", NETWORKS)
def test_repr_and_json_give_the_network_back(name: str) -> None:
    net = network(name)
    assert eval(repr(net), dict(vars(nets))) == net
    assert nets.loads(nets.dumps(net)) == net
    assert hash(nets.loads(nets.dumps(net))) == hash(net)


def test_the_eight_are_in_the_zoo() -> None:
    assert list(PUBLISHED) == [
        "alexnet", "vgg16", "vgg19", "googlenet", "resnet34", "resnet50", "resnet101", "resnet152",
    ]  # fmt: skip
    assert set(PUBLISHED) <= set(NETWORKS)


def test_receptive_fields_of_vgg16_row_by_row() -> None:
    rows = [row for row in nets.layer_table(network("vgg16")) if row.kind in ("Conv", "MaxPool")]
    fields = [row.receptive_field for row in rows]
    assert fields == [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212]


@pytest.mark.parametrize("name", ["vgg16", "googlenet", "squeezenet1_1"])
def test_other_classes_change_only_the_classifiers(name: str) -> None:
    ten = network(name).with_classes(10)
    assert ten.classes == 10
    heads = {"vgg16": 4097, "googlenet": 1025, "squeezenet1_1": 513}
    assert nets.parameters(network(name)) - nets.parameters(ten) == 990 * heads[name]
    side = nets.parameters(ten, training=True) - nets.parameters(ten)
    before = nets.parameters(network(name), training=True) - nets.parameters(network(name))
    assert before - side == (2 * 990 * 1025 if name == "googlenet" else 0)


def test_a_misspelt_name_gets_its_neighbour() -> None:
    with pytest.raises(DeepenoughError, match="resnet50"):
        network("resnet5")
