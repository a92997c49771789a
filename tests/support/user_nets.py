"""Networks as users write them, right and wrong."""

from torch import nn

from edanas.core.contracts import StagedBackbone


class Block(nn.Module):
    """A normalised convolution that halves the image."""

    def __init__(self, before, after):
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, features):
        return self.norm(self.conv(features)).relu()


def head(channels, num_classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


def make(in_channels, num_classes):
    return [Block(in_channels, 4), Block(4, 6), Block(6, 8)], head(8, num_classes)


def sequential(in_channels, num_classes):
    stages, last = make(in_channels, num_classes)
    return nn.Sequential(*stages, last)


def staged(in_channels, num_classes):
    return StagedBackbone(*make(in_channels, num_classes), resolution=8)


def text(in_channels, num_classes):
    return "a network"


def alone(in_channels, num_classes):
    return [Block(in_channels, 4), head(4, num_classes)]


def without_classes(in_channels):
    return make(in_channels, 2)


def misfit(in_channels, num_classes):
    return [Block(in_channels, 4), Block(5, 6)], head(6, num_classes)


def flat(in_channels, num_classes):
    return [nn.Flatten(), nn.Identity()], nn.LazyLinear(num_classes)


def wrong_classes(in_channels, num_classes):
    return [Block(in_channels, 4), Block(4, 6)], head(6, 9)
