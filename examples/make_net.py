"""Write net.onnx beside this file: a small classifier as any exporter may write it.

python examples/make_net.py
"""

import warnings
from pathlib import Path

import torch
from torch import nn

NET = Path(__file__).with_name("net.onnx")


def build():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def main(path=NET):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's own future
        torch.onnx.export(build().eval(), (torch.zeros(1, 3, 160, 160),), str(path), dynamo=False)


if __name__ == "__main__":
    main()
