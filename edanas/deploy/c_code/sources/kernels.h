/* Layers of a network with 8-bit integers. C99; no heap, no floating point, no state.
 *
 * Features are int8_t, height x width x channels. A number q stands for scale * (q - zero). A sum of 32 bits
 * times `multiplier` * 2^-`shift`, rounded, is the next tensor's number. Shifts of negative numbers are
 * arithmetic, as in every common compiler.
 */
#ifndef EDANAS_KERNELS_H
#define EDANAS_KERNELS_H

#include <stdint.h>

typedef struct {
    int32_t height, width, channels;
} edanas_shape;

/* A convolution, or a linear layer as a convolution with a kernel of the size of its input. */
typedef struct {
    edanas_shape in, out;
    int32_t kernel_height, kernel_width, stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x, groups;
    int32_t in_zero, out_zero, low, high;
    const int8_t *weights; /* output channel, kernel row, kernel column, input channel of the group */
    const int32_t *bias, *multipliers;
    const uint8_t *shifts;
} edanas_conv_layer;

/* For each row, or column, of the result: first index, index after the last, divisor of a mean. */
typedef struct {
    uint16_t start, stop, size;
} edanas_window;

typedef struct {
    edanas_shape in, out;
    int32_t in_zero, out_zero, multiplier, shift; /* `multiplier` 0: the maximum in place of the mean */
    const edanas_window *rows, *columns;
} edanas_pool_layer;

/* A sum or a product. The second input may have one pixel, which counts for all pixels of the first. */
typedef struct {
    int32_t pixels, second_pixels, channels;
    int32_t first_zero, second_zero, out_zero, low, high;
    int32_t first_multiplier, second_multiplier, shift; /* a product has the first multiplier only */
} edanas_pair_layer;

/* Padding of the output with zeros around the input. */
typedef struct {
    edanas_shape in, out;
    int32_t top, left, zero;
} edanas_pad_layer;

/* Bytes of pixels -> first tensor. Without weights, the image has the size of the tensor. */
typedef struct {
    int32_t image_height, image_width;
    edanas_shape out;
    const uint16_t *row_windows, *column_windows; /* first pixel and number of pixels of each row or column */
    const uint16_t *row_weights, *column_weights; /* one after the other; those of a row sum to 2^11 */
    const int8_t *table;                          /* 256 numbers for each channel */
} edanas_pixels_layer;

void edanas_pixels(const edanas_pixels_layer *layer, const uint8_t *image, int8_t *out);
void edanas_conv(const edanas_conv_layer *layer, const int8_t *in, int8_t *out);
void edanas_conv_logits(const edanas_conv_layer *layer, const int8_t *in, int16_t *out);
void edanas_pool(const edanas_pool_layer *layer, const int8_t *in, int8_t *out);
void edanas_add(const edanas_pair_layer *layer, const int8_t *first, const int8_t *second, int8_t *out);
void edanas_mul(const edanas_pair_layer *layer, const int8_t *first, const int8_t *second, int8_t *out);
void edanas_pad(const edanas_pad_layer *layer, const int8_t *in, int8_t *out);
/* A function of single numbers; `out` may be `in`. */
void edanas_table(const int8_t *table, int32_t count, const int8_t *in, int8_t *out);
void edanas_table_logits(const int16_t *table, int32_t count, const int8_t *in, int16_t *out);
/* Copies the channels of `in` into channels of `out` from `first` on, through a table. */
void edanas_channels(const int8_t *table, int32_t pixels, int32_t in_channels, int32_t out_channels,
                     int32_t first, const int8_t *in, int8_t *out);

#endif
