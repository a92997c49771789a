"""Texts on memory, latency and energy of finished networks on a microcontroller."""

from collections.abc import Iterable

from edanas.core.result_row import ResultRow
from edanas.report.result import Result

UNITS = (
    "RAM is the peak of int8 activations; flash is the int8 weights, biases and scales, without the code "
    "that runs the network."
)
"""Sentence on the units of RAM and flash."""

_MEMORY = ("ram", "flash", "device-latency", "device-energy", "tiny-ml")
"""Names of objectives and constraints with which a run considers a microcontroller."""


def considers_memory(result: Result) -> bool:
    """Return whether a run has a limit, objective, constraint or profile of a microcontroller."""
    settings = result.settings
    if any(settings.get(name) for name in ("max_ram", "max_flash", "device_profile")):
        return True
    chosen = [*settings.get("objectives", ()), *settings.get("constraints", ())]
    return any(f"'{name}'" in repr([each]) for each in chosen for name in _MEMORY)


def memory_note(result: Result, rows: Iterable[ResultRow]) -> str:
    """Return the note on memory below a run's table; empty if the run does not consider a microcontroller."""
    if not considers_memory(result):
        return ""
    lines = [f"{row.id}: {memory_text(row)}" for row in rows if row.ram is not None]
    return f"On a microcontroller: {'. '.join(lines)}. {UNITS}" if lines else ""


def memory_text(row: ResultRow) -> str:
    """Return RAM, flash and estimates of a network as text; empty if they are not known.

    Example:
        >>> row = ResultRow(
        ...     id="a", exits=0, thresholds=(), utilization=(1.0,), test_accuracy=0.9,
        ...     validation_accuracy=0.9, ada_macs=1, executed_macs=1, backbone_macs=1,
        ...     backbone_test_accuracy=0.9, params=1, ram=12_345, flash=45_678,
        ...     exit_ram=(12_345,), ram_layer="add in stage 1",
        ... )
        >>> memory_text(row)
        '12.3 kB of RAM (most for add in stage 1), 45.7 kB of flash'
    """
    if row.ram is None or row.flash is None:
        return ""
    first = next((ram for ram in row.exit_ram if ram is not None), row.ram)
    until = f", {kilobytes(first)} up to the first exit" if row.exits and first != row.ram else ""
    layer = f" (most for {row.ram_layer}{until})" if row.ram_layer else ""
    return f"{kilobytes(row.ram)} of RAM{layer}, {kilobytes(row.flash)} of flash{_estimates(row)}"


def kilobytes(size: float) -> str:
    """Return a number of bytes in kB of 1,000 bytes.

    Example:
        >>> kilobytes(64_000), kilobytes(1_234)
        ('64.0 kB', '1.2 kB')
    """
    return f"{size / 1e3:,.1f} kB"


def _estimates(row: ResultRow) -> str:
    """Return estimated latency and energy after a comma, on average and by exit; empty without a device."""
    device = row.device
    if not device:
        return ""
    by_exit = " and ".join(
        f"{', '.join(f'{each:.3g}' for each in device[key] if each is not None)} {unit}"
        for key, unit in (("exit_latency_ms", "ms"), ("exit_energy_mj", "mJ"))
        if key in device
    )
    energy = f" and {device['energy_mj']:.3g} mJ" if "energy_mj" in device else ""
    mean = f"{device['latency_ms']:.3g} ms{energy} on average on {device['profile']}"
    return f", estimated {mean} (by exit: {by_exit})"
