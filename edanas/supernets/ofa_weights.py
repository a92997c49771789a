"""Trained weights for elastic mobile networks: a file, or a name in the zoo of the once-for-all authors."""

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
"""The authors' supernets, trained on ImageNet, by name."""


def canonical(name: str) -> str:
    """A tensor's name without what differs between elastic layers, plain ones and the zoo's files."""
    name = re.sub(r"^(blocks\.\d+)\.(?:mobile_inverted_conv|conv)\.", r"\1.", name)
    return re.sub(r"\b(conv|bn|linear)\.\1\.", r"\1.", name)


NAMES = TensorNames(
    canonical=canonical,
    classifier=("classifier.linear.weight", "classifier.linear.bias"),
    stem="first_conv.conv.weight",
    misfit="The file is of a network with other widths, depths, kernels, expansions or last layers",
)


def load(supernet: ElasticMobileNet, weights: str) -> str:
    """Fill `supernet` from a file or a name in the zoo; returns a sentence on what was taken and left.

    Raises:
        WeightsError: There is no such file or name, it holds no weights, or those of another network.
    """
    path, checked = locate(weights, ZOO)
    names = replace(NAMES, canonical=_proxyless) if supernet.layout.family == PROXYLESS else NAMES
    return "; ".join([fill(supernet, supernet.task, read_tensors(path), str(path), names), *checked])


def _proxyless(name: str) -> str:
    """As `canonical`, for files in which the last convolution before pooling is called a mix."""
    return re.sub(r"^feature_mix_layer\.", "final_expand_layer.", canonical(name))
