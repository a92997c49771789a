"""Export of a network to C99 with 8-bit integers: graph, quantisation, integer reference, memory, C text."""
