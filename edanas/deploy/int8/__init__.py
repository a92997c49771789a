"""Networks in 8-bit integers: their layers, the quantisation of these, and networks that compute with it."""
