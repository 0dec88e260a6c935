"""Detectors and pose nets: YOLOv2, SSD, OpenPose and VoxelNet as chains of units with an empty tail.

What leaves a chain sideways is a unit's head (SSD); what skips units is saved and joined later (YOLOv2's
passthrough, OpenPose's features, VoxelNet's upsampled maps).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ..blocks import Block
from ..chain import Join, Unit
from ..layers import Conv, Conv3d, ConvTranspose, Shape
from ..model import Model
from ..remaps import Reorg
from .classifiers import VGG_CONVS, bottleneck, conv, conv_bn, max_pool, resnet_stem, resnet_units, vgg_units

COCO_CLASSES = 80
SSD_BOXES = (4, 6, 6, 6, 4, 4)  # default boxes per position on the 38, 19, 10, 5, 3 and 1 maps


def yolov2() -> Model:
    """YOLOv2 for COCO at 416x416 (Redmon and Farhadi 2016, darknet's yolo.cfg): Darknet-19, passthrough, 5 anchors.

    The convolution numbers are those of darknet; number 21 is the passthrough's and lives in a join.
    """
    dark = partial(conv_bn, activation="leaky")

    def stage(first: int, pool: int | None, *widths: tuple[int, int]) -> list[Unit]:
        units = [Unit(f"conv{i}", (dark(c, k),)) for i, (c, k) in enumerate(widths, start=first)]
        return units if pool is None else [*units, max_pool(f"pool{pool}")]

    units = [
        *stage(1, 1, (32, 3)),
        *stage(2, 2, (64, 3)),
        *stage(3, 3, (128, 3), (64, 1), (128, 3)),
        *stage(6, 4, (256, 3), (128, 1), (256, 3)),
        *stage(9, 5, (512, 3), (256, 1), (512, 3), (256, 1), (512, 3)),
        *stage(14, None, (1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3), (1024, 3), (1024, 3)),
        Unit("conv22", (dark(1024),), joins=(Join("conv13", (dark(64, 1), Reorg(2))),)),
        Unit("conv23", (conv(5 * (5 + COCO_CLASSES), 1, activation="none"),)),
    ]
    units = [replace(u, save="conv13") if u.name == "conv13" else u for u in units]
    return Model("yolov2", Shape(3, 416, 416), tuple(units))


def _with_heads(units: Sequence[Unit], sources: Sequence[str]) -> tuple[Unit, ...]:
    """Put SSD's 3x3 heads (box offsets and class scores, one class more for background) on the named units."""
    boxes = dict(zip(sources, SSD_BOXES, strict=True))

    def head(count: int) -> Block:
        channels = (4 * count, (COCO_CLASSES + 1) * count)
        return Block(tuple((conv(c, activation="none"),) for c in channels))

    return tuple(replace(u, head=(head(boxes[u.name]),)) if u.name in boxes else u for u in units)


def ssd_vgg16() -> Model:
    """SSD300 on VGG-16 (Liu et al. 2016). The L2 norm of conv4_3 in front of its head is not modelled."""
    units = {u.name: u for u in vgg_units(VGG_CONVS[16])}
    units["pool3"] = max_pool("pool3", ceil_mode=True)  # 75 rows become 38
    units["pool5"] = max_pool("pool5", 3, 1, 1)
    tail = [
        Unit("fc6", (Conv(3, 1, 6, 6, out_channels=1024),)),
        Unit("fc7", (conv(1024, 1),)),
        Unit("conv8_1", (conv(256, 1),)),
        Unit("conv8_2", (conv(512, 3, 2),)),
        Unit("conv9_1", (conv(128, 1),)),
        Unit("conv9_2", (conv(256, 3, 2),)),
        Unit("conv10_1", (conv(128, 1),)),
        Unit("conv10_2", (conv(256, 3, 1, 0),)),
        Unit("conv11_1", (conv(128, 1),)),
        Unit("conv11_2", (conv(256, 3, 1, 0),)),
    ]
    sources = ("conv4_3", "fc7", "conv8_2", "conv9_2", "conv10_2", "conv11_2")
    return Model("ssd_vgg16", Shape(3, 300, 300), _with_heads([*units.values(), *tail], sources))


def ssd_resnet50() -> Model:
    """SSD300 on ResNet-50 up to conv4_x with stride 1 there (NVIDIA's variant), five extra pairs."""
    units = [*resnet_stem(), *resnet_units(bottleneck, strides=(1, 2, 1))]
    for i, (width, channels) in enumerate([(256, 512), (256, 512), (128, 256), (128, 256), (128, 256)], start=1):
        last = conv_bn(channels, 3, 2) if i <= 3 else conv_bn(channels, 3, 1, 0)
        units += [Unit(f"extra{i}_1", (conv_bn(width, 1),)), Unit(f"extra{i}_2", (last,))]
    sources = ("conv4_6", *(f"extra{i}_2" for i in range(1, 6)))
    return Model("ssd_resnet50", Shape(3, 300, 300), _with_heads(units, sources))


def openpose() -> Model:
    """OpenPose's body network at 368x368 (Cao et al. 2017): VGG-19 features, then six stages of two branches.

    A unit is one depth of a stage with both branches side by side: part affinity fields (38 maps) and heat maps (19).
    """
    backbone = vgg_units(VGG_CONVS[19])
    last = next(i for i, u in enumerate(backbone) if u.name == "conv4_2")
    units = [
        *backbone[: last + 1],
        Unit("conv4_3", (conv(256),)),
        Unit("conv4_4", (conv(128),), save="features"),
        *_pose_stage(1, ((128, 3), (128, 3), (128, 3), (512, 1))),
    ]
    for stage in range(2, 7):
        units += _pose_stage(stage, ((128, 7),) * 5 + ((128, 1),))
    return Model("openpose", Shape(3, 368, 368), tuple(units))


def _pose_stage(stage: int, convs: Sequence[tuple[int, int]]) -> list[Unit]:
    """One stage: ``convs`` (channels, kernel) in both branches, then their maps.

    The first depth reads everything, from stage 2 on with the features; deeper ones each their own branch.
    """
    units: list[Unit] = []
    channels: tuple[int, int] | None = None
    for depth, (width, kernel) in enumerate(convs, start=1):
        block = Block(((conv(width, kernel),),) * 2, split_channels=channels)
        joins = (Join("features"),) if stage > 1 and depth == 1 else ()
        units.append(Unit(f"stage{stage}_{depth}", (block,), joins))
        channels = (width, width)
    maps = tuple((conv(c, 1, activation="none"),) for c in (38, 19))
    return [*units, Unit(f"stage{stage}_{len(convs) + 1}", (Block(maps, split_channels=channels),))]


def voxelnet() -> Model:
    """VoxelNet's car detector behind the voxel feature encoder (Zhou and Tuzel 2018): 3-D middle layers and RPN.

    The voxel feature encoder is not modelled. *Assumption*: the requester sends the raw points of its rows instead
    of an image, about 100 000 KITTI points of 16 bytes over 400 rows.
    """

    def middle(index: int, stride_depth: int, padding_depth: int) -> Unit:
        layer = Conv3d(
            3, 1, 1, out_channels=64, stride_depth=stride_depth, padding_depth=padding_depth, bias=False, norm=True
        )
        return Unit(f"middle{index}", (layer,))

    def up(kernel: int, stride: int, padding: int = 0) -> ConvTranspose:
        return ConvTranspose(kernel, stride, padding, out_channels=256, bias=False, norm=True)

    def block(index: int, count: int, channels: int) -> list[Unit]:
        units = [Unit(f"rpn{index}_{i}", (conv_bn(channels, 3, 2 if i == 1 else 1),)) for i in range(1, count + 1)]
        return [*units[:-1], replace(units[-1], save=f"rpn{index}")]

    maps = Block(tuple((conv(c, 1, activation="none"),) for c in (2, 14)))  # scores and box regressions, 2 anchors
    units = (
        middle(1, 2, 1),
        middle(2, 1, 0),
        middle(3, 2, 1),
        *block(1, 4, 128),
        *block(2, 6, 128),
        *block(3, 6, 256),
        Unit("deconv3", (up(4, 4),)),
        Unit("heads", (maps,), joins=(Join("rpn1", (up(3, 1, 1),)), Join("rpn2", (up(2, 2),)))),
    )
    return Model("voxelnet", Shape(128, 400, 352, depth=10), units, input_row_bytes=4000)
