"""Output of the commands, one module for each command: `show_*` prints, `draw_*` writes a plot."""
