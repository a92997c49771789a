import pytest
from finishings import Medians
from small_runs import workbench

from edanas.core.progress import Silent
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.evaluation.finish import Finisher
from edanas.evaluation.shared import SharedEvaluation


@pytest.fixture(scope="module")
def supernet(tmp_path_factory):
    """A finished supernet training, as bytes."""
    folder = tmp_path_factory.mktemp("once")
    SharedEvaluation(workbench(folder, training__epochs=6)).prepare(Silent())
    return (folder / "supernet.pt").read_bytes()


@pytest.fixture
def finisher(supernet, tmp_path):
    def make(name="run", data=None, exporters=None, setter=None, **settings):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "supernet.pt").write_bytes(supernet)
        bench = workbench(folder, data, training__epochs=6, **settings)
        evaluator = SharedEvaluation(bench)
        evaluator.prepare(Silent())
        writers = exporters if exporters is not None else [SafetensorsExporter()]
        return Finisher(bench, evaluator, setter or Medians(), writers)

    return make
