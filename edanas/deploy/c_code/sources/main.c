/* Classifies images: each file, or the standard input, holds one image or more as bytes, pixel after pixel,
 * row after row (EDANAS_CHANNELS bytes a pixel). `-l` prints the logits of the exit, too. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "network.h"

static uint8_t image[EDANAS_IMAGE_BYTES];

static int classify(FILE *file, const char *name, int with_logits)
{
    size_t count, images = 0;
    while ((count = fread(image, 1, sizeof image, file)) == sizeof image) {
        edanas_result result;
        edanas_classify(image, &result);
        const uint32_t millionths = (uint32_t)(((uint64_t)result.confidence * 1000000) >> 24);
        printf("%s: exit %" PRId32 ", confidence %" PRIu32 ".%06" PRIu32, edanas_classes[result.label],
               result.exit + 1, millionths / 1000000, millionths % 1000000);
        if (with_logits) {
            printf(" %" PRId32 " %" PRIu32, result.label, result.confidence);
            for (int k = 0; k < EDANAS_CLASSES; k++)
                printf(" %d", result.logits[k]);
        }
        printf("\n");
        images++;
    }
    if (count || !images)
        fprintf(stderr, "%s: found %zu bytes; allowed: a multiple of %d bytes, one image or more\n", name,
                images * sizeof image + count, EDANAS_IMAGE_BYTES);
    return count || !images;
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
