import io
import zipfile

import pytest
import torch
from exported_nets import images, network, plain

from edanas.core.errors import EdanasError, ExportError
from edanas.deploy.checking import export_checked
from edanas.deploy.pt2_export import Pt2CondExporter, Pt2Exporter
from edanas.deploy.pt2_programs import opened
from edanas.testing.evaluations import toy_network

FORMS = {"pt2": Pt2Exporter, "cond": Pt2CondExporter}


@pytest.fixture(scope="module", params=FORMS)
def exported(request, tmp_path_factory):
    exporter = FORMS[request.param]()
    folder = tmp_path_factory.mktemp(request.param)
    return exporter, *export_checked(exporter, network(), folder / "eenn-2.v1", images())


def test_programs_answer_and_skip_as_the_network_does(exported):
    exporter, paths, found = exported
    assert found.same == len(images())
    left_at = network()(images()).exit
    assert found.computed == tuple(int((left_at > before).sum()) for before in (-1, 1, 3))
    runner = exporter.open(paths[0])
    asked = torch.randint(
        0, 256, (4, 1, 9, 31), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    label, exit_, sure = runner.predict(asked.numpy())
    expected = plain(network()(asked))
    assert (label == expected[0]).all()
    assert (exit_ == expected[1]).all()
    assert sure == pytest.approx(expected[2], abs=1e-5)
    if isinstance(exporter, Pt2Exporter):
        last = network().all_exits(images())[0][:, -1]
        assert (runner.backbone(images().numpy()) == last.numpy()).all()
    else:
        with pytest.raises(EdanasError, match="cannot be passed by"):
            runner.backbone(images().numpy())


def test_programs_hold_no_path_of_the_machine_and_stand_alone(exported):
    _, paths, _ = exported
    for path in paths[1:]:
        content = path.read_bytes()
        assert b"site-packages" not in content
        assert str(torch.__file__).rpartition("/torch/")[0].encode() not in content
        torch.export.load(io.BytesIO(content))


class Harmful:
    def __reduce__(self):
        return print, ("this ran",)


@pytest.mark.parametrize("member", ["archive/data/sample_inputs/model.pt", "archive/data/weights/evil.pkl"])
def test_a_program_with_a_pickle_is_not_opened(member, tmp_path, capsys):
    paths = Pt2Exporter().export(toy_network().eval(), tmp_path / "net")
    poison = io.BytesIO()
    torch.save(Harmful(), poison)
    with zipfile.ZipFile(paths[1]) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for name, content in {**members, member: poison.getvalue()}.items():
            archive.writestr(name, content)
    with pytest.raises((ExportError, torch.serialization.pickle.UnpicklingError)):
        opened(changed.getvalue())
    assert "this ran" not in capsys.readouterr().out
