import numpy as np
import pytest
from exported_nets import images, network

from edanas.model.torch_runner import TorchRunner


@pytest.mark.parametrize("frozen", [False, True])
def test_it_predicts_as_the_network_and_does_not_change_it(frozen):
    eenn = network().freeze() if frozen else network()
    scheme = eenn.scheme
    runner = TorchRunner(eenn, batch_size=16)
    prediction = runner.predict(images().numpy())
    for one, other in zip(prediction, eenn(images()), strict=True):
        assert np.allclose(one, other.numpy(), atol=1e-5)
    last = eenn.all_exits(images())[0][:, -1]
    assert np.array_equal(runner.backbone(images().numpy()), last.numpy())
    exits = prediction[1]
    assert runner.computed(images().numpy()) == (len(exits), (exits > 1).sum(), (exits > 3).sum())
    assert eenn.scheme == scheme
    runner.ready(4)
    assert np.array_equal(runner.predict(images().numpy())[1], exits)
