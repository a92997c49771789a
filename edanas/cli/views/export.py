"""Output of `edanas export`: the files of each form, their sizes, and the result of the check."""

from collections.abc import Sequence

from edanas.cli.views.output import output_console, print_line
from edanas.model.exporting import Exported


def show_exports(exports: Sequence[Exported]) -> None:
    """Print the files of each form, their sizes, and the result of the check."""
    console = output_console()
    for export in exports:
        for line in _lines(export):
            print_line(console, line)


def _lines(export: Exported) -> list[str]:
    sizes = [path.stat().st_size for path in export.files]
    lines = [f"{export.name}: {len(sizes)} file{'s' * (len(sizes) > 1)}, {_size(sum(sizes))}"]
    lines += [f"  {path} {_size(size)}" for path, size in zip(export.files, sizes, strict=True)]
    lines.append(
        f"  {export.check.sentence() if export.check else 'not checked: this form is not run by itself'}"
    )
    return [*lines, f"  {export.summary}"] if export.summary else lines


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
