"""Names of the layers of MobileNetV3 backbones in the latency tables of the Once-for-All project."""

from edanas.core.types import Task
from edanas.supernets.mobile_space import BlockPlan, NetPlan


def layer_names(plan: NetPlan, stem_stride: int, task: Task) -> tuple[tuple[str, ...], ...]:
    """Return the names of a backbone's layers in a latency table.

    A name holds the shapes of input and output as HEIGHTxWIDTHxCHANNELS, for example
    `Conv-input:224x224x3-output:112x112x16`.

    Args:
        plan: The sizes of the backbone.
        stem_stride: Stride of the first convolution.
        task: Number of channels of the images, and number of classes.

    Returns:
        One tuple of names for each stage, then the names of the last exit's layers.
    """
    side = _shrunk(plan.resolution, stem_stride)
    names = [_name("Conv", _shape(plan.resolution, task.in_channels), _shape(side, plan.stem))]
    stage_names, channels = [], plan.stem
    for blocks in plan.stages:
        for block in blocks:
            names.append(_block(block, side))
            side, channels = _shrunk(side, block.stride), block.out_channels
        stage_names.append(tuple(names))
        names = []
    if plan.final_expand:
        names.append(_name("Conv_1", _shape(side, channels), _shape(side, plan.final_expand)))
        channels = plan.final_expand
    names.append(_name("AvgPool2D", _shape(side, channels), _shape(1, channels)))
    if plan.last_width:
        names.append(_name("Conv_2", _shape(1, channels), _shape(1, plan.last_width)))
        channels = plan.last_width
    names.append(_name("Logits", _shape(1, channels), str(task.num_classes)))
    return (*stage_names, tuple(names))


def _block(block: BlockPlan, side: int) -> str:
    after = _shrunk(side, block.stride)
    shapes = _name("expanded_conv", _shape(side, block.in_channels), _shape(after, block.out_channels))
    return (
        f"{shapes}-expand:{block.mid_channels}-kernel:{block.kernel}-stride:{block.stride}"
        f"-idskip:{block.residual:d}-se:{block.squeeze:d}-hs:{block.activation == 'h_swish':d}"
    )


def _name(kind: str, before: str, after: str) -> str:
    return f"{kind}-input:{before}-output:{after}"


def _shape(side: int, channels: int) -> str:
    return f"{side}x{side}x{channels}"


def _shrunk(side: int, stride: int) -> int:
    return (side - 1) // stride + 1
