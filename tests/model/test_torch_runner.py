import numpy as np
import pytest
from exported_nets import images, network

from edanas.model.torch_runner import TorchRunner


@pytest.mark.parametrize("frozen", [False, True])
def test_it_answers_as_the_network_does_and_leaves_it_alone(frozen):
    asked = network().freeze() if frozen else network()
    scheme = asked.scheme
    runner = TorchRunner(asked, batch_size=16)
    found = runner.predict(images().numpy())
    for one, other in zip(found, asked(images()), strict=True):
        assert np.allclose(one, other.numpy(), atol=1e-5)
    last = asked.all_exits(images())[0][:, -1]
    assert np.array_equal(runner.backbone(images().numpy()), last.numpy())
    left = found[1]
    assert runner.computed(images().numpy()) == (len(left), (left > 1).sum(), (left > 3).sum())
    assert asked.scheme == scheme
    runner.ready(4)
    assert np.array_equal(runner.predict(images().numpy())[1], left)
