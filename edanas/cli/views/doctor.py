"""Output of `edanas doctor`: labelled values and problems."""

from typing import Any

from edanas.cli.views.output import output_console, print_line


def show_installation(state: dict[str, Any]) -> None:
    """Print the state that `edanas.cli.doctor.examine` returned."""
    threads, folder, plugins = state["threads"], state["home"], state["plugins"]
    lines = [
        ("edanas", state["edanas"]),
        ("python", f"{state['python']} on {state['platform']}"),
        *state["versions"].items(),
        *((device["name"], device["detail"]) for device in state["devices"]),
        (
            "threads",
            f"{threads['torch']} used by torch, {threads['usable']} of {threads['cores']} cores usable",
        ),
        ("home", folder["path"] + (f", {folder['free_gib']} GiB free" if folder["free_gib"] else "")),
        ("plugins", f"{plugins['extensions']} extensions, {len(plugins['broken'])} broken plugins"),
    ]
    console = output_console()
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print_line(console, f"{name:<{width}}  {value}")
    for problem in state["problems"]:
        print_line(console, f"Problem: {problem}", style="red")
    if not state["problems"]:
        console.print("Everything is in order.", style="green")
