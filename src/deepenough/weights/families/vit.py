"""The published weights of vision transformers: ViT's and DeiT's."""

from __future__ import annotations

from deepenough.nets.network import Network
from deepenough.nets.zoo.vit import BLOCKS, PATCH, VITS
from deepenough.weights.families.family import FamilyWeights, TimmFile, TorchvisionFile, TransformersKind, timm_input
from deepenough.weights.patterns import name_by_patterns


def name_torchvision(network: Network) -> dict[str, str]:
    """`encoder.layers.encoder_layer_B` with `ln_1`, `self_attention`, `ln_2` and `mlp`."""
    return _torchvision(network, ("mlp.0", "mlp.3"))


def name_older_torchvision(network: Network) -> dict[str, str]:
    """The same with `mlp.linear_1` and `mlp.linear_2`, as in the files that torchvision publishes."""
    return _torchvision(network, ("mlp.linear_1", "mlp.linear_2"))


def _torchvision(network: Network, dense: tuple[str, str]) -> dict[str, str]:
    inside = {
        "attention.main.norm": "ln_1",
        "attention.main.projection": "self_attention.out_proj",
        **{f"attention.main.qkv.{part}": f"self_attention.in_proj_{part}" for part in ("weight", "bias")},
        "mlp.main.norm": "ln_2",
        "mlp.main.dense1": dense[0],
        "mlp.main.dense2": dense[1],
    }
    patterns = {
        "patches": "conv_proj",
        "tokens.class_token": "class_token",
        "tokens.position": "encoder.pos_embedding",
        "norm": "encoder.ln",
        "classifier": "heads.head",
        **{f"block#.{ours}": f"encoder.layers.encoder_layer_{{}}.{theirs}" for ours, theirs in inside.items()},
    }
    return name_by_patterns(network, patterns)


def name_timm(network: Network) -> dict[str, str]:
    """`patch_embed.proj`, `cls_token`, `pos_embed`, `blocks.B` with `norm1`, `attn`, `norm2` and `mlp`; DeiT's too."""
    inside = {
        "attention.main.norm": "norm1",
        "attention.main.qkv": "attn.qkv",
        "attention.main.projection": "attn.proj",
        "mlp.main.norm": "norm2",
        "mlp.main.dense1": "mlp.fc1",
        "mlp.main.dense2": "mlp.fc2",
    }
    return name_by_patterns(
        network,
        {
            "patches": "patch_embed.proj",
            "tokens.class_token": "cls_token",
            "tokens.position": "pos_embed",
            "norm": "norm",
            "classifier": "head",
            **{f"block#.{ours}": f"blocks.{{}}.{theirs}" for ours, theirs in inside.items()},
        },
    )


def name_transformers(network: Network) -> dict[str, str]:
    """`embeddings`, `encoder.layer.B` with `attention`, `intermediate` and `output`, which count from 0; DeiT's too.

    Its three projections before attention are one, `qkv`, as `with_joined_projections` makes them.
    """
    inside = {
        "attention.main.norm": "layernorm_before",
        "attention.main.qkv": "attention.attention.qkv",
        "attention.main.projection": "attention.output.dense",
        "mlp.main.norm": "layernorm_after",
        "mlp.main.dense1": "intermediate.dense",
        "mlp.main.dense2": "output.dense",
    }
    return name_by_patterns(
        network,
        {
            "patches": "embeddings.patch_embeddings.projection",
            "tokens.class_token": "embeddings.cls_token",
            "tokens.position": "embeddings.position_embeddings",
            "norm": "layernorm",
            "classifier": "classifier",
            **{f"block#.{ours}": f"encoder.layer.{{}}.{theirs}" for ours, theirs in inside.items()},
        },
    )


_ALL = tuple(f"vit_{size}_patch16_224" for size in VITS)

VIT = FamilyWeights(
    torchvision=dict.fromkeys(_ALL, name_torchvision),
    older_torchvision=dict.fromkeys(_ALL, name_older_torchvision),
    timm=dict.fromkeys(_ALL, name_timm),
    transformers=dict.fromkeys(_ALL, name_transformers),
    inputs={"timm": dict.fromkeys(_ALL, timm_input(224, 0.9, halves=True))},
    transformers_kinds={
        "vit": TransformersKind(
            {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12, "intermediate_size": 3072},
            {(width, heads, BLOCKS, 4 * width): f"vit_{size}_patch16_224" for size, (width, heads) in VITS.items()},
            {"hidden_act": "gelu", "patch_size": PATCH, "qkv_bias": True},
        )
    },
    torchvision_files=(TorchvisionFile("ViT_B_16", 1, "vit_b_16-c867db91.pth", 346, (81.072, 95.318)),),
    timm_files=(
        TimmFile(
            "deit_tiny_patch16_224.fb_in1k", "https://dl.fbaipublicfiles.com/deit/deit_tiny_patch16_224-a1311bcf.pth",
            23, (27.81, 8.9), timm_input(224, 0.9),
        ),
        TimmFile(
            "deit_small_patch16_224.fb_in1k", "https://dl.fbaipublicfiles.com/deit/deit_small_patch16_224-cd65a155.pth",
            88.9, (20.144, 4.944), timm_input(224, 0.9),
        ),
        TimmFile(
            "deit_base_patch16_224.fb_in1k", "https://dl.fbaipublicfiles.com/deit/deit_base_patch16_224-b5f2ef4d.pth",
            349, (18.02, 4.26), timm_input(224, 0.9),
        ),
    ),
)  # fmt: skip
