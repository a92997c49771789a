import copy
import hashlib
import shutil
import subprocess

import numpy as np
import pytest
from exported_nets import PLACED, network

from edanas.core.costs import executed_per_exit
from edanas.core.errors import RunError
from edanas.deploy.c_header import CHeaderExporter
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.exits.criteria import Patience
from edanas.model.anatomy import Anatomy

COMPILER = next((compiler for name in ("cc", "gcc", "clang") if (compiler := shutil.which(name))), None)
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]

PROGRAM = r"""
#include <inttypes.h>
#include <stdio.h>
#include "HEADER"
int main(void)
{
    for (int i = 0; i < N_EXITS; i++)
        printf("%" PRId32 " %a %" PRIu64 " %" PRIu64 " %" PRIu64 " %d%d\n", n_exits[i].exit_point,
            (double)n_exits[i].threshold, n_exits[i].body_macs, n_exits[i].head_macs,
            n_exits[i].executed_macs, n_leaves(i, n_exits[i].threshold), n_leaves(i, -1.0f));
    for (int i = 0; i < N_CLASSES; i++)
        printf("%s%c", n_classes[i], 0);
    for (int i = 0; i < N_CHANNELS; i++)
        printf("%a %a\n", (double)n_mean[i], (double)n_std[i]);
    printf("%d %d %s", N_RESOLUTION, N_EXIT_POINTS, N_WEIGHTS_SHA256);
    return 0;
}
"""


def compiled(folder, header, program, flags=STRICT):
    (folder / "main.c").write_text(program.replace("HEADER", header.name))
    subprocess.run([COMPILER, *flags, "main.c", "-o", "main"], cwd=folder, check=True)
    return subprocess.run([folder / "main"], capture_output=True, check=True).stdout


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_a_c_program_reads_the_network_s_numbers(tmp_path):
    odd = copy.deepcopy(network())
    odd.classes = ('a "quoted" \\ name', "bånd 日本", "what??/ {}", "new\nline", "%d", *odd.classes[5:])
    paths = CHeaderExporter().export(odd, tmp_path / "n")
    out = compiled(tmp_path, paths[0], PROGRAM)
    lines = out.split(b"\n", 3)
    costs = executed_per_exit(Anatomy.of(odd, 1).costs, odd.scheme)
    for at, line in zip((*PLACED, 4), lines, strict=False):
        exit_point, threshold, _, _, executed, leaves = line.decode().split()
        expected = odd.scheme.thresholds[at] if at < 4 else 0.0
        assert int(exit_point) == at
        assert float.fromhex(threshold) == float(np.float32(expected))
        assert int(executed) == costs[at]
        assert leaves == ("10" if at < 4 else "11")
    spent = [[int(each) for each in line.split()[2:4]] for line in lines[:3]]
    assert sum(map(sum, spent)) == costs[4]
    *names, rest = lines[3].split(b"\0")
    assert [each.decode() for each in names] == list(odd.classes)
    mean, std, resolution, points, digest = rest.decode().split()
    assert float.fromhex(mean) == float(np.float32(odd.mean[0]))
    assert float.fromhex(std) == float(np.float32(odd.std[0]))
    assert (int(resolution), int(points)) == (odd.resolution, 4)
    _, weights = SafetensorsExporter().export(odd, tmp_path / "n")
    assert digest == hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_headers_of_two_networks_go_into_one_program(tmp_path):
    first, *_ = CHeaderExporter().export(network(), tmp_path / "2-exits.v1")
    second, *_ = CHeaderExporter().export(network(placed=()), tmp_path / "int")
    text = f'#include "{first.name}"\n#include "{second.name}"\n#include "{first.name}"\n'
    text += "int main(void) { return N2_EXITS_V1_EXITS + INT_EXITS - 4; }\n"
    compiled(tmp_path, first, text)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(RunError, match="no such folder"):
        CHeaderExporter().export(network(), tmp_path / "none" / "net")


def comment_of(odd, tmp_path):
    (path,) = CHeaderExporter().export(odd, tmp_path / "n")
    return " ".join(path.read_text().split("*/")[0].replace("\n *", " ").split())


def test_the_header_says_what_a_confidence_is(tmp_path):
    odd = copy.deepcopy(network())
    comment = comment_of(odd, tmp_path)
    assert "Confidence: score-margin. The largest class probability minus the second largest" in comment
    assert (
        "Prediction: early-stop. The logits of the exit where the sample exits; earlier exits do not"
        in comment
    )
    assert comment.count("earlier exits") == 1
    odd.criterion = Patience(3)
    odd.description = {**odd.description, "criterion": {"name": "patience", "options": {"agreeing": 3}}}
    comment = comment_of(odd, tmp_path)
    assert "Confidence: patience (agreeing = 3). The number of consecutive exits" in comment
    assert "It depends on the outputs of earlier exits, too." in comment
