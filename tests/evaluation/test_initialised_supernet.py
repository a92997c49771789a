"""A supernet whose weights follow from the train part."""

from dataclasses import replace

import torch
from small_networks import SMALL
from small_runs import workbench

from edanas.core.preprocess import prepare
from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.evaluation.shared import SharedEvaluation
from edanas.supernets.elastic_resnet import ElasticResNetProvider
from edanas.supernets.whitening import whiten


def test_the_stem_of_a_run_whitens_its_train_part_and_stays_in_the_training(tmp_path):
    options = {**SMALL["elastic-resnet"], "stem": "whitened"}
    provider = ElasticResNetProvider(**options)
    space = SearchSpace(provider.variables(), "continuous", provider.exit_points)
    settings = {"supernet": {"name": "elastic-resnet", **options}}
    bench = replace(workbench(tmp_path, **settings), provider=provider, space=space)
    evaluation = SharedEvaluation(bench)
    trainer = evaluation.trainer(Silent())
    stem = trainer.network.supernet.stem.main.conv
    parts, expected = bench.parts, torch.nn.Conv2d(*stem.weight.shape[1::-1], stem.kernel_size)
    side = int(space.largest()["resolution"])
    whiten(expected, prepare(parts.train.images, side, parts.mean, parts.std))
    torch.testing.assert_close(stem.weight, expected.weight)
    trainer.run(Silent())
    assert trainer.step > 0
    torch.testing.assert_close(stem.weight, expected.weight)
