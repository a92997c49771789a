/* Classifies each file, or the standard input. It holds one image or more as bytes, pixel after pixel, row after
 * row (EDANAS_CHANNELS bytes a pixel); or, if network.h has an EDANAS_LENGTH, one series as floats of 32 bits,
 * position after position (EDANAS_CHANNELS floats a position). `-l` prints the logits of the exit, too. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "network.h"

static void print(const edanas_result *result, int with_logits)
{
    const uint32_t millionths = (uint32_t)(((uint64_t)result->confidence * 1000000) >> 24);
    printf("%s: exit %" PRId32 ", confidence %" PRIu32 ".%06" PRIu32, edanas_classes[result->label],
           result->exit + 1, millionths / 1000000, millionths % 1000000);
    if (with_logits) {
        printf(" %" PRId32 " %" PRIu32, result->label, result->confidence);
        for (int k = 0; k < EDANAS_CLASSES; k++)
            printf(" %d", result->logits[k]);
    }
    printf("\n");
}

#ifdef EDANAS_LENGTH
static float series[EDANAS_LENGTH * EDANAS_CHANNELS + 1];

static int classify(FILE *file, const char *name, int with_logits)
{
    edanas_result result;
    const size_t bytes = fread(series, 1, sizeof series, file), position = EDANAS_CHANNELS * sizeof *series;
    const int32_t length = (int32_t)(bytes / position);
    if (bytes % position || length < EDANAS_SHORTEST || length > EDANAS_LENGTH) {
        fprintf(stderr, "%s: found %zu bytes; allowed: %d to %d positions of %zu bytes\n", name, bytes,
                EDANAS_SHORTEST, EDANAS_LENGTH, position);
        return 1;
    }
    for (int32_t i = 0; i < length * EDANAS_CHANNELS; i++)
        if (!isfinite(series[i])) {
            fprintf(stderr, "%s: found %f at position %" PRId32 ", channel %" PRId32 "; allowed: finite values\n",
                    name, (double)series[i], i / EDANAS_CHANNELS, i % EDANAS_CHANNELS);
            return 1;
        }
    edanas_classify(series, length, &result);
    print(&result, with_logits);
    return 0;
}
#else
static uint8_t image[EDANAS_IMAGE_BYTES];

static int classify(FILE *file, const char *name, int with_logits)
{
    size_t count, images = 0;
    while ((count = fread(image, 1, sizeof image, file)) == sizeof image) {
        edanas_result result;
        edanas_classify(image, &result);
        print(&result, with_logits);
        images++;
    }
    if (count || !images)
        fprintf(stderr, "%s: found %zu bytes; allowed: a multiple of %d bytes, one image or more\n", name,
                images * sizeof image + count, EDANAS_IMAGE_BYTES);
    return count || !images;
}
#endif

int main(int argc, char **argv)
{
    int failed = 0, first = 1, with_logits = argc > 1 && strcmp(argv[1], "-l") == 0;
    first += with_logits;
    if (first == argc)
        return classify(stdin, "standard input", with_logits);
    for (int i = first; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            perror(argv[i]);
            failed = 1;
            continue;
        }
        failed |= classify(file, argv[i], with_logits);
        fclose(file);
    }
    return failed;
}
