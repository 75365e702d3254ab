"""Published counts, for every name in the zoo by construction."""

from __future__ import annotations

import pytest

import deepenough.nets as nets
from deepenough.errors import DeepenoughError
from deepenough.nets.zoo import NETWORKS, network
from deepenough.nets.zoo.catalogue import CATALOGUE
from deepenough.nets.zoo.published import PUBLISHED
from deepenough.weights.names import NAMED

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
    # Parameters as torchvision's and timm's modules count them (tests/reference compares with those).
    "resnext50_32x4d": (50, 25_028_904, 427),
    "wide_resnet50_2": (50, 68_883_240, 427),
    "densenet121": (121, 7_978_856, 2071),
    **dict.fromkeys(("mobilenet_v2", "mobilenet_v2_keras"), (53, 3_504_872, 491)),
    "mobilenet_v3_small": (36, 2_542_856, 639),
    "mobilenet_v3_large": (48, 5_483_032, 595),
    **dict.fromkeys(("mobilenetv3_small_100", "mobilenetv3_small_100_tf"), (36, 2_542_856, 639)),
    **dict.fromkeys(("mobilenetv3_large_100", "mobilenetv3_large_100_tf"), (48, 5_483_032, 595)),
    **dict.fromkeys(("efficientnet_b0", "efficientnet_b0_tf"), (50, 5_288_548, 851)),
    **dict.fromkeys(("efficientnet_b1", "efficientnet_b1_tf"), (70, 7_794_184, 1183)),
    **dict.fromkeys(("efficientnet_b2", "efficientnet_b2_tf"), (70, 9_109_994, 1183)),
    **dict.fromkeys(("efficientnet_b3", "efficientnet_b3_tf"), (79, 12_233_232, 1407)),
    **dict.fromkeys(("efficientnet_b4", "efficientnet_b4_tf"), (97, 19_341_616, 1799)),
    **dict.fromkeys(("efficientnet_lite0", "efficientnet_lite0_tf"), (50, 4_652_008, 851)),
    **dict.fromkeys(("efficientnet_lite1", "efficientnet_lite1_tf"), (65, 5_416_680, 1115)),
    **dict.fromkeys(("efficientnet_lite2", "efficientnet_lite2_tf"), (65, 6_092_072, 1115)),
    "regnet_y_400mf": (50, 4_344_144, 575),
    "regnet_y_1_6gf": (83, 11_202_430, 727),
    "convnext_atto": (41, 3_695_520, 1136),
    "convnext_tiny": (59, 28_589_128, 1688),
    "convnext_small": (113, 50_223_688, 3416),
    "vit_tiny_patch16_224": (50, 5_717_416, 224),
    "vit_small_patch16_224": (50, 22_050_664, 224),
    "vit_base_patch16_224": (50, 86_567_656, 224),
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


def test_every_network_is_listed_by_family_and_year() -> None:
    assert set(CATALOGUE) == set(NETWORKS)
    years = [entry.year for entry in CATALOGUE.values()]
    assert years == sorted(years)
    for entry in PUBLISHED.values():  # the figures that both have are the same, but for rounding
        for figure in entry.figures:
            if figure.weights.endswith(".tv_in1k") and figure.top1 is not None:
                assert CATALOGUE[figure.network].single_crop is not None
                top1, top5, _ = CATALOGUE[figure.network].single_crop or (0, 0, 0)
                assert (top1, top5) == pytest.approx((figure.top1, figure.top5), abs=0.01)


def test_the_errors_of_a_network_are_those_of_its_weights() -> None:
    """Of weights that were trained on ILSVRC-2012 alone; those of torchvision's first, where it has any."""
    stated = {name: entry.single_crop[:2] for name, entry in CATALOGUE.items() if entry.single_crop is not None}
    for entry in NAMED.values():
        if entry.network in stated and entry.name.endswith(".tv_in1k"):
            assert (entry.top1, entry.top5) == stated[entry.network]
    timms = [entry for entry in NAMED.values() if entry.publisher == "timm"]
    assert all(entry.top1 and entry.top5 and entry.top5 < entry.top1 for entry in timms)
    for name in ("mobilenetv3_small_100", "mobilenetv3_large_100", "efficientnet_lite0", "convnext_atto"):
        assert stated[name] in [(entry.top1, entry.top5) for entry in timms if entry.network == name]


def test_an_error_names_the_weights_that_have_it() -> None:
    torchvisions = {entry.network for entry in NAMED.values() if entry.name.endswith(".tv_in1k")}
    for name, entry in CATALOGUE.items():
        if entry.single_crop is not None:
            assert entry.source == ("torchvision" if name in torchvisions else "timm"), name
            if entry.weights in NAMED:
                assert NAMED[entry.weights].network == name
                assert (NAMED[entry.weights].top1, NAMED[entry.weights].top5) == entry.single_crop[:2]
    assert CATALOGUE["efficientnet_b0_tf"].weights == "tf_efficientnet_b0.in1k"


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
