"""Trained weights of mobile supernets, from a file or from the zoo of the authors of Once-for-All."""

import re
from collections.abc import Mapping
from dataclasses import replace

from edanas.supernets.download import Remote
from edanas.supernets.elastic_mobile import ElasticMobileNet
from edanas.supernets.mobile_space import PROXYLESS
from edanas.supernets.weights import TensorNames, fill, locate, read_tensors

_SOURCES = (
    "https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/",
    "https://github.com/han-cai/files/raw/master/ofa/ofa_nets/",
)

ZOO: Mapping[str, Remote] = {
    name: Remote(name, tuple(source + name for source in _SOURCES), git_object=git_object)
    for name, git_object in (
        ("ofa_proxyless_d234_e346_k357_w1.3", "c97035a7a6fe611508f3bb35ffac0ef77262f5e0"),
        ("ofa_mbv3_d234_e346_k357_w1.0", "55d835981d8acd1053657a951b18887a724ddcbf"),
        ("ofa_mbv3_d234_e346_k357_w1.2", "d75a3613bae216091f61fc4b7df77d49cc82ed32"),
    )
}
"""Name -> file of a supernet that the authors of Once-for-All trained on ImageNet."""


def canonical(name: str) -> str:
    """Return a tensor's canonical name, which is the same for supernets, backbones and files of the zoo.

    Supernets, backbones and files of the zoo insert different words into the name of the same tensor.

    Args:
        name: Name of a tensor in a supernet, a backbone or a file.

    Example:
        >>> canonical("blocks.3.mobile_inverted_conv.point_linear.conv.conv.weight")
        'blocks.3.point_linear.conv.weight'
    """
    name = re.sub(r"^(blocks\.\d+)\.(?:mobile_inverted_conv|conv)\.", r"\1.", name)
    return re.sub(r"\b(conv|bn|linear)\.\1\.", r"\1.", name)


NAMES = TensorNames(
    canonical=canonical,
    classifier=("classifier.linear.weight", "classifier.linear.bias"),
    stem="first_conv.conv.weight",
    misfit="The file is of a network with other widths, depths, kernels, expansions or last layers",
)
"""Names of the tensors of a MobileNetV3 supernet."""


def load(supernet: ElasticMobileNet, weights: str) -> str:
    """Copy weights from a file or from the zoo into a supernet.

    Args:
        supernet: The supernet that gets the weights.
        weights: Path of a file, or a name in `ZOO`.

    Returns:
        A sentence that reports the number of copied tensors, and the check of a download.

    Raises:
        WeightsError: There is no file or name `weights`. The file cannot be downloaded, has no weights, or
            has the weights of another network.
    """
    path, check = locate(weights, ZOO)
    names = replace(NAMES, canonical=_canonical_proxyless) if supernet.space.family == PROXYLESS else NAMES
    return "; ".join([fill(supernet, supernet.task, read_tensors(path), str(path), names), *check])


def _canonical_proxyless(name: str) -> str:
    """Return the canonical name of a ProxylessNAS tensor.

    The zoo names the final expansion layer `feature_mix_layer`.
    """
    return re.sub(r"^feature_mix_layer\.", "final_expand_layer.", canonical(name))
