import sys

import pytest
from exported_nets import images, network

from edanas.core.optional_packages import MissingExtraError
from edanas.deploy.executorch_export import ExecutorchExporter
from edanas.deploy.export_check import export_checked


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "executorch", None)
    with pytest.raises(MissingExtraError, match=r"edanas\[executorch\]"):
        ExecutorchExporter()


def test_each_stage_is_a_method_and_those_not_needed_do_not_run(tmp_path):
    pytest.importorskip("executorch", reason="the extra `executorch` lives in an environment of its own")
    exporter = ExecutorchExporter()
    paths, check = export_checked(exporter, network(), tmp_path / "net", images())
    assert [path.name for path in paths] == ["net.pte.json", "net.pte"]
    assert check.same + check.rounded == len(images())
    assert check.computed[0] > check.computed[1] > check.computed[2] > 0
    runner = exporter.open(paths[0])
    _, exits, _ = runner.predict(images().numpy())
    assert (exits == network().predict(images()).exit.numpy()).all()
