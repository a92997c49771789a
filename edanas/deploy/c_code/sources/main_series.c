/* Classifies series: each file, or the standard input, holds one series as floats of 32 bits, position after
 * position (EDANAS_CHANNELS floats a position). `-l` prints the logits of the exit, too. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "network.h"

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
    edanas_classify(series, length, &result);
    const uint32_t millionths = (uint32_t)(((uint64_t)result.confidence * 1000000) >> 24);
    printf("%s: exit %" PRId32 ", confidence %" PRIu32 ".%06" PRIu32, edanas_classes[result.label],
           result.exit + 1, millionths / 1000000, millionths % 1000000);
    if (with_logits) {
        printf(" %" PRId32 " %" PRIu32, result.label, result.confidence);
        for (int k = 0; k < EDANAS_CLASSES; k++)
            printf(" %d", result.logits[k]);
    }
    printf("\n");
    return 0;
}

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
