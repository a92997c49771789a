"""The forms that a network can be measured in, and how each is opened."""

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

_IN_TORCH: dict[str, Callable[[EENN], EENN]] = {
    PLAIN: lambda network: network,
    FROZEN: lambda network: network if network.frozen else network.freeze(),
    COMPILED: lambda network: network.freeze(compile=True),
}


@dataclass(frozen=True)
class Form:
    """One form of one network.

    Args:
        name: Of the forms above, or the exporter's.
        exact: Whether it answers as the network does, save for rounding.
        path: The file to open; `None` in torch.
    """

    name: str
    exact: bool
    path: Path | None


def known_forms(registry: Registry) -> list[str]:
    """All names: torch's, then those of exporters whose files run here."""
    return [*_IN_TORCH, *_endings(registry)]


def check_forms(registry: Registry, names: Sequence[str]) -> None:
    """Refuse names that are none.

    Raises:
        ConfigError: One is unknown, does not run here, or there is none at all.
    """
    allowed = known_forms(registry)
    if not names:
        raise ConfigError(f"forms: found none; allowed: {', '.join(allowed)}")
    for name in names:
        if name in registry.names(_KIND) and name not in allowed:
            raise ConfigError(f"forms: what '{name}' writes does not run here; allowed: {', '.join(allowed)}")
        if name not in allowed:
            raise ConfigError(f"forms: found '{name}'.{near_miss(name, allowed)}")


def forms_beside(registry: Registry, stem: Path) -> tuple[list[str], list[str]]:
    """What there is of a network to measure, and what there is to say of the rest.

    Args:
        registry: Knows the exporters.
        stem: The network's file without its ending.

    Returns:
        Names: torch's plain and frozen, then exporters' whose files lie beside; and remarks.
    """
    names, remarks = [PLAIN, FROZEN], []
    for name, ending in _endings(registry).items():
        if not stem.with_name(f"{stem.name}{ending}").is_file():
            continue
        try:
            registry.create(_KIND, name)
            names.append(name)
        except MissingExtraError as error:
            remarks.append(f"Not measured: {error}")
    return names, remarks


def locate(
    registry: Registry,
    network: EENN,
    name: str,
    beside: Path,
    spare: Path,
    parts: Callable[[], tuple[ImageSet, ImageSet]],
) -> Form:
    """Find a form's files beside a network's, or write them.

    Args:
        registry: Knows the exporters.
        network: Whose form it is.
        name: Of `known_forms`.
        beside: The network's file without its ending.
        spare: The same in another folder, to write to.
        parts: Images for a form that depends on any; see `Exporter.prepare`.

    Raises:
        EdanasError: What `Exporter.export` raises, or its package is not installed.
    """
    if name in _IN_TORCH:
        return Form(name, name != COMPILED, None)
    exporter: Exporter = registry.create(_KIND, name)
    found = beside.with_name(f"{beside.name}{exporter.ending}")
    if not found.is_file():
        exporter.prepare(*parts())
        found = exporter.export(network, spare)[0]
    return Form(name, exporter.exact, found)


def open_form(
    registry: Registry, form: Form, network: Callable[[], EENN], threads: int, batch_size: int
) -> Runner:
    """The form, ready to run.

    Args:
        registry: Knows the exporters.
        form: What `locate` gave.
        network: Gives the network, for forms in torch.
        threads: How many its runtime may use; torch's are set elsewhere.
        batch_size: Images at once, at most.

    Raises:
        EdanasError: Files are damaged, or it does not run here.
    """
    if form.path is None:
        return TorchRunner(_IN_TORCH[form.name](network()), batch_size)
    exporter: Exporter = registry.create(_KIND, form.name)
    return exporter.open(form.path, threads)


def _endings(registry: Registry) -> dict[str, str]:
    """Of the files of exporters that can be opened, by name; none needs to be installed for that."""
    factories = {name: registry.entry(_KIND, name).factory for name in registry.names(_KIND)}
    endings = {name: getattr(factory, "ending", "") for name, factory in factories.items()}
    return {name: ending for name, ending in endings.items() if ending}
