"""The training loop of the page lowers the loss of a network, and the saved network loads again."""

import re
from pathlib import Path

import torch
from series_networks import series_network
from torch.nn import functional as F

import edanas
from edanas.model.loading import load

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "train-further.md"


def test_the_example_runs(tmp_path, monkeypatch):
    stored = edanas.export(series_network(tmp_path), "safetensors", tmp_path / "first")[0].files[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(edanas, "load", lambda path: load(stored))
    series = torch.randn(64, 3, 40, generator=torch.Generator().manual_seed(0))
    labels = (series[:, 0].mean(1) > 0).long()
    before = load(stored).logits(series)
    names = {"images": series, "labels": labels}
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    torch.manual_seed(0)
    exec(block, names)
    after = load("trained/eenn.json").logits(series)
    for one, other, trained in zip(before, after, names["network"].logits(series), strict=True):
        assert F.cross_entropy(other, labels) < F.cross_entropy(one, labels)
        assert torch.equal(other, trained)
