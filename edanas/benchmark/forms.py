"""The forms of a network that `bench` can measure: their names, files and runners."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edanas.core.contracts import Exporter, Runner
from edanas.core.errors import ConfigError, near_miss
from edanas.core.optional_packages import MissingExtraError
from edanas.core.types import ImageSet
from edanas.model.eenn import EENN
from edanas.model.torch_runner import TorchRunner
from edanas.plugins.registry import Registry

_KIND = "exporter"

PLAIN, FROZEN, COMPILED = "torch", "torch-frozen", "torch-compiled"
"""The names of the forms in torch: the network as it is, frozen, and frozen and compiled."""

_IN_TORCH: dict[str, Callable[[EENN], EENN]] = {
    PLAIN: lambda network: network,
    FROZEN: lambda network: network if network.frozen else network.freeze(),
    COMPILED: lambda network: network.freeze(compile=True),
}


@dataclass(frozen=True)
class Form:
    """One form of one network.

    Args:
        name: `torch`, `torch-frozen`, `torch-compiled`, or the name of an exporter.
        exact: `True` if the form must predict the same as the network, except for rounding.
        path: The file to open; `None` for a form in torch.
    """

    name: str
    exact: bool
    path: Path | None


def known_forms(registry: Registry) -> list[str]:
    """Return the names of all forms: the forms in torch, then the exporters whose files can be run."""
    return [*_IN_TORCH, *_endings(registry)]


def check_forms(registry: Registry, names: Sequence[str]) -> None:
    """Check that forms exist and can be run.

    Raises:
        ConfigError: `names` is empty, a name is unknown, or the files of an exporter cannot be run.
    """
    allowed = known_forms(registry)
    if not names:
        raise ConfigError(f"forms: found none; allowed: {', '.join(allowed)}")
    for name in names:
        if name in registry.names(_KIND) and name not in allowed:
            raise ConfigError(
                f"forms: found '{name}', whose files edanas cannot run; allowed: {', '.join(allowed)}"
            )
        if name not in allowed:
            raise ConfigError(f"forms: found '{name}'.{near_miss(name, allowed)}")


def forms_beside(registry: Registry, stem: Path) -> tuple[list[str], list[str]]:
    """Return the forms that exist beside a network file, and remarks on forms whose package is missing.

    Args:
        registry: The extensions by kind and name.
        stem: The path of the network's file without its ending.

    Returns:
        The names `torch` and `torch-frozen`, then the names of the exporters with a file beside the network
        file; and a sentence for each form that cannot be measured.
    """
    names, remarks = [PLAIN, FROZEN], []
    for name, ending in _endings(registry).items():
        if not stem.with_name(f"{stem.name}{ending}").is_file():
            continue
        try:
            registry.create(_KIND, name)
            names.append(name)
        except MissingExtraError as error:
            remarks.append(f"{name} was not measured: {error}")
    return names, remarks


def locate_form(
    registry: Registry,
    network: EENN,
    name: str,
    beside: Path,
    spare: Path,
    parts: Callable[[], tuple[ImageSet, ImageSet]],
) -> Form:
    """Return a form of a network, with its file; a missing file is written to another folder.

    Args:
        registry: The extensions by kind and name.
        network: The network to export if the file is missing.
        name: A name from `known_forms`.
        beside: The path of the network file without its ending, where the form's file is looked for.
        spare: The path to export to, without an ending.
        parts: Returns two sets of images, which some exporters need; see `Exporter.prepare`.

    Raises:
        EdanasError: The export failed, or the exporter's package is not installed.
    """
    if name in _IN_TORCH:
        return Form(name, name != COMPILED, None)
    exporter: Exporter = registry.create(_KIND, name)
    file = beside.with_name(f"{beside.name}{exporter.ending}")
    if not file.is_file():
        exporter.prepare(*parts())
        file = exporter.export(network, spare)[0]
    return Form(name, exporter.exact, file)


def open_form(
    registry: Registry, form: Form, network: Callable[[], EENN], threads: int, batch_size: int
) -> Runner:
    """Return a runner of a form, which computes its predictions.

    Args:
        registry: The extensions by kind and name.
        form: A form from `locate_form`.
        network: Returns the network; called for forms in torch.
        threads: The number of threads that the runtime of an exported form may use. For forms in torch, the
            caller sets the threads of torch.
        batch_size: The largest batch size, in images.

    Raises:
        EdanasError: The file of the form is damaged, or the form cannot be run on this machine.
    """
    if form.path is None:
        return TorchRunner(_IN_TORCH[form.name](network()), batch_size)
    exporter: Exporter = registry.create(_KIND, form.name)
    return exporter.open(form.path, threads)


def _endings(registry: Registry) -> dict[str, str]:
    """Return the file ending of each exporter whose files can be run, by name; packages may be missing."""
    endings = {entry.name: getattr(entry.factory, "ending", "") for entry in registry.entries(_KIND)}
    return {name: ending for name, ending in endings.items() if ending}
