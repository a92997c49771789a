"""Trained weights of elastic mobile networks, from a file or the zoo of the once-for-all authors."""

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
"""The authors' supernets by name, trained on ImageNet."""


def canonical(name: str) -> str:
    """Return a tensor's name without the parts that differ between elastic layers, plain layers and the zoo.

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


def load(supernet: ElasticMobileNet, weights: str) -> str:
    """Copy weights from a file or the zoo into `supernet`; return a sentence on the copied tensors.

    Raises:
        WeightsError: There is no such file or name, or it holds no weights, or those of another network.
    """
    path, check = locate(weights, ZOO)
    names = replace(NAMES, canonical=_canonical_proxyless) if supernet.space.family == PROXYLESS else NAMES
    return "; ".join([fill(supernet, supernet.task, read_tensors(path), str(path), names), *check])


def _canonical_proxyless(name: str) -> str:
    """Return the canonical name, for files that name the last convolution before pooling a feature mix."""
    return re.sub(r"^feature_mix_layer\.", "final_expand_layer.", canonical(name))
