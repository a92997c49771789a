#include "kernels.h"

static int32_t clip(int64_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : (int32_t)value;
}

static int64_t requantise(int32_t sum, int32_t multiplier, int32_t shift)
{
    return ((int64_t)sum * multiplier + ((int64_t)1 << (shift - 1))) >> shift;
}

/* The quotient, rounded to the nearest whole number; halves are rounded up. `divisor` is even. */
static int64_t divide(int64_t sum, int64_t divisor)
{
    int64_t shifted = sum + divisor / 2;
    return shifted / divisor - (shifted % divisor < 0);
}

static uint8_t resized(const edanas_pixels_layer *layer, const uint8_t *image, const uint16_t *rows,
                       const uint16_t *row_weights, const uint16_t *columns, const uint16_t *column_weights,
                       int32_t channel)
{
    uint32_t sum = 0;
    for (int32_t y = 0; y < rows[1]; y++) {
        const uint8_t *row = image + (int32_t)(rows[0] + y) * layer->image_width * layer->out.channels;
        uint32_t part = 0;
        for (int32_t x = 0; x < columns[1]; x++)
            part += (uint32_t)column_weights[x] * row[(columns[0] + x) * layer->out.channels + channel];
        sum += part * row_weights[y];
    }
    return (uint8_t)((sum + (UINT32_C(1) << 21)) >> 22);
}

void edanas_pixels(const edanas_pixels_layer *layer, const uint8_t *image, int8_t *out)
{
    const int32_t channels = layer->out.channels;
    if (layer->row_windows == 0) {
        for (int32_t i = 0; i < layer->out.height * layer->out.width; i++)
            for (int32_t c = 0; c < channels; c++)
                *out++ = layer->table[256 * c + *image++];
        return;
    }
    const uint16_t *row_weights = layer->row_weights;
    for (int32_t y = 0; y < layer->out.height; y++) {
        const uint16_t *rows = layer->row_windows + 2 * y, *column_weights = layer->column_weights;
        for (int32_t x = 0; x < layer->out.width; x++) {
            const uint16_t *columns = layer->column_windows + 2 * x;
            for (int32_t c = 0; c < channels; c++)
                *out++ = layer->table[256 * c + resized(layer, image, rows, row_weights, columns, column_weights, c)];
            column_weights += columns[1];
        }
        row_weights += rows[1];
    }
}

/* The part of a kernel that lies on the features: kernel rows or columns `first` to `last` - 1. */
static void on_features(int32_t begin, int32_t size, int32_t kernel, int32_t dilation, int32_t *first, int32_t *last)
{
    *first = begin < 0 ? (-begin + dilation - 1) / dilation : 0;
    *last = begin < size ? (size - begin + dilation - 1) / dilation : 0;
    if (*last > kernel)
        *last = kernel;
}

static int32_t conv_sum(const edanas_conv_layer *layer, const int8_t *in, const int8_t *weights, int32_t fan_in,
                        int32_t top, int32_t left, const int32_t *limits)
{
    int32_t sum = 0;
    const int32_t zero = layer->in_zero;
    for (int32_t ky = limits[0]; ky < limits[1]; ky++) {
        const int32_t row = (top + ky * layer->dilation_y) * layer->in.width;
        for (int32_t kx = limits[2]; kx < limits[3]; kx++) {
            const int8_t *x = in + (row + left + kx * layer->dilation_x) * layer->in.channels;
            const int8_t *w = weights + (ky * layer->kernel_width + kx) * fan_in;
            for (int32_t i = 0; i < fan_in; i++)
                sum += w[i] * (x[i] - zero);
        }
    }
    return sum;
}

/* Calls for each output number with its value; exactly one of `bytes` and `logits` is not null. */
static void conv(const edanas_conv_layer *layer, const int8_t *in, int8_t *bytes, int16_t *logits)
{
    const int32_t fan_in = layer->in.channels / layer->groups, per_group = layer->out.channels / layer->groups;
    const int32_t kernel = layer->kernel_height * layer->kernel_width * fan_in;
    int32_t limits[4];
    for (int32_t y = 0; y < layer->out.height; y++) {
        const int32_t top = y * layer->stride_y - layer->pad_top;
        on_features(top, layer->in.height, layer->kernel_height, layer->dilation_y, &limits[0], &limits[1]);
        for (int32_t x = 0; x < layer->out.width; x++) {
            const int32_t left = x * layer->stride_x - layer->pad_left;
            on_features(left, layer->in.width, layer->kernel_width, layer->dilation_x, &limits[2], &limits[3]);
            for (int32_t o = 0; o < layer->out.channels; o++) {
                const int8_t *group = in + o / per_group * fan_in;
                int32_t sum = layer->bias[o];
                sum += conv_sum(layer, group, layer->weights + o * kernel, fan_in, top, left, limits);
                int64_t value = requantise(sum, layer->multipliers[o], layer->shifts[o]) + layer->out_zero;
                int32_t limited = clip(value, layer->low, layer->high);
                if (bytes)
                    *bytes++ = (int8_t)limited;
                else
                    *logits++ = (int16_t)limited;
            }
        }
    }
}

void edanas_conv(const edanas_conv_layer *layer, const int8_t *in, int8_t *out)
{
    conv(layer, in, out, 0);
}

void edanas_conv_logits(const edanas_conv_layer *layer, const int8_t *in, int16_t *out)
{
    conv(layer, in, 0, out);
}

static int8_t pooled(const edanas_pool_layer *layer, const int8_t *in, edanas_window row, edanas_window column)
{
    int32_t sum = 0, largest = -128;
    for (int32_t y = row.start; y < row.stop; y++)
        for (int32_t x = column.start; x < column.stop; x++) {
            int32_t value = in[(y * layer->in.width + x) * layer->in.channels];
            sum += value - layer->in_zero;
            largest = value > largest ? value : largest;
        }
    if (layer->multiplier == 0)
        return (int8_t)largest;
    int64_t divisor = ((int64_t)row.size * column.size) * ((int64_t)1 << layer->shift);
    return (int8_t)clip(divide((int64_t)sum * layer->multiplier, divisor) + layer->out_zero, -128, 127);
}

void edanas_pool(const edanas_pool_layer *layer, const int8_t *in, int8_t *out)
{
    for (int32_t y = 0; y < layer->out.height; y++)
        for (int32_t x = 0; x < layer->out.width; x++)
            for (int32_t c = 0; c < layer->out.channels; c++)
                *out++ = pooled(layer, in + c, layer->rows[y], layer->columns[x]);
}

void edanas_add(const edanas_pair_layer *layer, const int8_t *first, const int8_t *second, int8_t *out)
{
    for (int32_t i = 0; i < layer->pixels; i++)
        for (int32_t c = 0; c < layer->channels; c++) {
            int32_t at = i * layer->channels + c, other = layer->second_pixels == 1 ? c : at;
            int64_t sum = (int64_t)(first[at] - layer->first_zero) * layer->first_multiplier;
            sum += (int64_t)(second[other] - layer->second_zero) * layer->second_multiplier;
            sum = (sum + ((int64_t)1 << (layer->shift - 1))) >> layer->shift;
            out[at] = (int8_t)clip(sum + layer->out_zero, layer->low, layer->high);
        }
}

void edanas_mul(const edanas_pair_layer *layer, const int8_t *first, const int8_t *second, int8_t *out)
{
    for (int32_t i = 0; i < layer->pixels; i++)
        for (int32_t c = 0; c < layer->channels; c++) {
            int32_t at = i * layer->channels + c, other = layer->second_pixels == 1 ? c : at;
            int32_t product = (first[at] - layer->first_zero) * (second[other] - layer->second_zero);
            int64_t value = requantise(product, layer->first_multiplier, layer->shift) + layer->out_zero;
            out[at] = (int8_t)clip(value, layer->low, layer->high);
        }
}

void edanas_pad(const edanas_pad_layer *layer, const int8_t *in, int8_t *out)
{
    for (int32_t y = 0; y < layer->out.height; y++)
        for (int32_t x = 0; x < layer->out.width; x++) {
            const int32_t row = y - layer->top, column = x - layer->left;
            const int inside = row >= 0 && row < layer->in.height && column >= 0 && column < layer->in.width;
            for (int32_t c = 0; c < layer->out.channels; c++)
                *out++ = inside ? in[(row * layer->in.width + column) * layer->in.channels + c] : (int8_t)layer->zero;
        }
}

void edanas_table(const int8_t *table, int32_t count, const int8_t *in, int8_t *out)
{
    for (int32_t i = 0; i < count; i++)
        out[i] = table[in[i] + 128];
}

void edanas_table_logits(const int16_t *table, int32_t count, const int8_t *in, int16_t *out)
{
    for (int32_t i = 0; i < count; i++)
        out[i] = table[in[i] + 128];
}

void edanas_channels(const int8_t *table, int32_t pixels, int32_t in_channels, int32_t out_channels,
                     int32_t first, const int8_t *in, int8_t *out)
{
    for (int32_t i = 0; i < pixels; i++)
        for (int32_t c = 0; c < in_channels; c++)
            out[i * out_channels + first + c] = table[in[i * in_channels + c] + 128];
}
