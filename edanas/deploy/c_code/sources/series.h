/* Values of a series -> first tensor. C99; the only floating point of the network. */
#ifndef EDANAS_SERIES_H
#define EDANAS_SERIES_H

#include <stdint.h>

/* A new value is the sum of `taps` values from `begins` on times `weights`. Without weights, the series has the
 * length of the tensor. `needed` is the length from which on a series has each new value; 0 if all series have
 * `length` values. A value x of channel c is the number x * factors[c] + offsets[c], rounded. */
typedef struct {
    int32_t length, width, channels, taps;
    const uint16_t *begins, *needed;
    const float *weights, *factors, *offsets;
} edanas_series_layer;

/* Writes the first tensor for the first `length` positions of a series, and returns its width. */
int32_t edanas_series(const edanas_series_layer *layer, const float *series, int32_t length, int8_t *out);

#endif
