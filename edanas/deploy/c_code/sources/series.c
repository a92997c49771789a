#include "series.h"

/* The nearest whole number from -128 to 127; -128 for NaN. Halves are rounded up. */
static int8_t rounded(float value)
{
    value += 0.5f;
    if (!(value >= -127.0f))
        return -128;
    if (value >= 127.0f)
        return 127;
    int32_t whole = (int32_t)value;
    return (int8_t)(whole - ((float)whole > value));
}

/* Each product and each sum stands in a statement of its own, so that no compiler joins them. */
static float resampled(const edanas_series_layer *layer, const float *series, int32_t length, int32_t at, int32_t c)
{
    const int32_t begin = layer->begins[at];
    const float *weights = layer->weights + at * layer->taps;
    float sum = 0.0f, share = 0.0f;
    for (int32_t tap = 0; tap < layer->taps && begin + tap < length; tap++) {
        const float product = weights[tap] * series[(begin + tap) * layer->channels + c];
        sum += product;
        share += weights[tap];
    }
    return length < layer->length && begin + layer->taps > length ? sum / share : sum;
}

int32_t edanas_series(const edanas_series_layer *layer, const float *series, int32_t length, int8_t *out)
{
    int32_t width = 0;
    if (length > layer->length || layer->needed == 0)
        length = layer->length;
    for (; width < layer->width && (layer->needed == 0 || layer->needed[width] <= length || width == 0); width++)
        for (int32_t c = 0; c < layer->channels; c++) {
            const float value = layer->weights ? resampled(layer, series, length, width, c)
                                               : series[width * layer->channels + c];
            const float scaled = value * layer->factors[c];
            *out++ = rounded(scaled + layer->offsets[c]);
        }
    return width;
}
