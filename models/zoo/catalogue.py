"""The zoo: every network that ships with the suite, by name."""

from __future__ import annotations

from collections.abc import Callable

from ..model import Model
from .classifiers import (
    VGG_CHANNELS,
    alexnet,
    alexnet_2012,
    basic_block,
    bottleneck,
    googlenet,
    inception_v3,
    lenet5,
    resnet,
    small_resnet,
    vgg,
)
from .detectors import openpose, ssd_resnet50, ssd_vgg16, voxelnet, yolov2

# The variants for 32x32 images end in _32. The papers that use VGG there do not print their classifiers;
# these are the two sizes in common use (512-512-10 for VGG-16, 512-10 for VGG-11).
MODELS: dict[str, Callable[[], Model]] = {
    "alexnet": lambda: alexnet("alexnet"),
    "alexnet_2012": alexnet_2012,
    "vgg11": lambda: vgg("vgg11", 11),
    "vgg16": lambda: vgg("vgg16", 16),
    "vgg19": lambda: vgg("vgg19", 19),
    "resnet34": lambda: resnet("resnet34", basic_block),
    "resnet50": lambda: resnet("resnet50", bottleneck),
    "inception_v3": inception_v3,
    "googlenet": googlenet,
    "yolov2": yolov2,
    "ssd_vgg16": ssd_vgg16,
    "ssd_resnet50": ssd_resnet50,
    "openpose": openpose,
    "voxelnet": voxelnet,
    "lenet5": lenet5,
    "alexnet_64": lambda: alexnet("alexnet_64", 64, 200),  # tiny ImageNet
    "vgg11_32": lambda: vgg("vgg11_32", 11, 32, (10,)),
    "vgg11_32_half": lambda: vgg("vgg11_32_half", 11, 32, (10,), [c // 2 for c in VGG_CHANNELS]),
    "vgg11_32_quarter": lambda: vgg("vgg11_32_quarter", 11, 32, (10,), [c // 4 for c in VGG_CHANNELS]),
    "vgg16_32": lambda: vgg("vgg16_32", 16, 32, (512, 10)),
    "resnet34_32": lambda: small_resnet("resnet34_32", basic_block),
    "resnet50_32": lambda: small_resnet("resnet50_32", bottleneck),
    "resnet50_32_pool": lambda: small_resnet("resnet50_32_pool", bottleneck, pool=True),
    # Text as 32 tokens with 32-dimensional embeddings, speech as 32 frames of 32 mel bands: maps of one channel.
    "vgg16_text": lambda: vgg("vgg16_text", 16, 32, (512, 4), in_channels=1),
    "resnet50_speech": lambda: small_resnet("resnet50_speech", bottleneck, 1, 12),
    "resnet50_speech_pool": lambda: small_resnet("resnet50_speech_pool", bottleneck, 1, 12, pool=True),
}
