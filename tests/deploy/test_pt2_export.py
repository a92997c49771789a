import io
import json
import zipfile

import numpy as np
import pytest
import torch
from exported_nets import images, network, plain

from edanas.core.errors import DataError, EdanasError, ExportError
from edanas.deploy.export_check import export_checked
from edanas.deploy.pt2_export import Pt2CondExporter, Pt2Exporter
from edanas.deploy.pt2_programs import load_program
from edanas.testing.evaluations import toy_network

FORMS = {"pt2": Pt2Exporter, "cond": Pt2CondExporter}


@pytest.fixture(scope="module", params=FORMS)
def exported(request, tmp_path_factory):
    exporter = FORMS[request.param]()
    folder = tmp_path_factory.mktemp(request.param)
    return exporter, *export_checked(exporter, network(), folder / "eenn-2.v1", images())


def test_programs_answer_and_skip_as_the_network_does(exported):
    exporter, paths, check = exported
    assert check.same == len(images())
    left_at = network()(images()).exit
    assert check.computed == tuple(int((left_at > before).sum()) for before in (-1, 1, 3))
    runner = exporter.open(paths[0])
    pixels = torch.randint(
        0, 256, (4, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    with pytest.raises(DataError, match="found 31x9 pixels; allowed: 8x8"):
        runner.predict(np.zeros((1, 1, 9, 31), dtype=np.uint8))
    label, exit_, sure = runner.predict(pixels.numpy())
    expected = plain(network()(pixels))
    assert (label == expected[0]).all()
    assert (exit_ == expected[1]).all()
    assert sure == pytest.approx(expected[2], abs=1e-5)
    if isinstance(exporter, Pt2Exporter):
        last = network().all_exits(images())[0][:, -1]
        assert (runner.backbone(images().numpy()) == last.numpy()).all()
    else:
        with pytest.raises(EdanasError, match="cannot run without the exits"):
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
    members = toy_members(tmp_path)
    poison = io.BytesIO()
    torch.save(Harmful(), poison)
    with pytest.raises(ExportError, match=member.partition("/")[2]):
        load_program(archived({**members, member: poison.getvalue()}))
    assert "this ran" not in capsys.readouterr().out


def toy_members(folder):
    """The members of a program's archive, by name."""
    paths = Pt2Exporter().export(toy_network().eval(), folder / "net")
    with zipfile.ZipFile(paths[1]) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archived(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


GRAPH = "archive/models/model.json"
EVIL = "__import__('builtins').print('this ran')"


def changed(value, field, new):
    """With every text of that field, or of that key's list, replaced."""
    if isinstance(value, dict):
        return {key: new if key == field else changed(each, field, new) for key, each in value.items()}
    return [changed(each, field, new) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("field", "new"),
    [
        ("expr_str", EVIL),
        ("expr_str", "Symbol(print('this ran'))"),
        ("expr_str", "Mul(Symbol('s5', positive=print('this ran')), 2)"),
        ("expr_str", "[].append"),
        ("target", "torch.hub.load"),
        ("target", "torch.ops.aten.from_file.default"),
        ("target", "torch.ops.aten.__class__.mro"),
        ("target", "_operator.call"),
        ("target", "math.factorial"),
        ("guards_code", [EVIL]),
        ("in_spec", '[1, {"type": "enum.Enum", "context": "os:system", "children_spec": []}]'),
        ("in_spec", '[1, {"type": "builtins.dict", "context": {"a": "os"}, "children_spec": []}]'),
        ("forward_arg_names", ["x=print('this ran')"]),
        ("name", "x\nimport this"),
    ],
)
def test_a_graph_with_code_is_refused_before_torch_reads_it(field, new, tmp_path, monkeypatch, capsys):
    members = toy_members(tmp_path)
    graph = changed(json.loads(members[GRAPH]), field, new)
    assert graph != json.loads(members[GRAPH])
    monkeypatch.setattr(torch.export, "load", lambda _: pytest.fail("torch read it"))
    with pytest.raises(ExportError, match=r"model\.json': |has code as text"):
        load_program(archived({**members, GRAPH: json.dumps(graph).encode()}))
    assert "this ran" not in capsys.readouterr().out


def test_a_second_graph_hidden_behind_the_first_is_refused(tmp_path):
    """Some zip readers take the first of two members with the same name, and some the last."""
    members = toy_members(tmp_path)
    with pytest.raises(ExportError, match="two members of the archive have the same name"):
        load_program(archived({**members, GRAPH.replace("model.json", "MODEL.json"): members[GRAPH]}))
    assert load_program(archived(members)) is not None
