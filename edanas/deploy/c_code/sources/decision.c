#include "decision.h"

#include "network.h"

#define ONE (UINT32_C(1) << 24)

static struct {
    int32_t label, run; /* label of the last exit, and the number of exits that agree on it */
#if EDANAS_RULE == EDANAS_MEAN_PROBABILITY
    uint64_t sums[EDANAS_CLASSES];
#elif EDANAS_RULE == EDANAS_MEAN_LOGIT
    int32_t sums[EDANAS_CLASSES];
#endif
} memory;

/* 2^30 * exp(-below / 256) */
static uint64_t exponential(int32_t below)
{
    if (below >> 8 >= EDANAS_EXP_WHOLE)
        return 0;
    return (uint64_t)edanas_exp_whole[below >> 8] * edanas_exp_fraction[below & 255] >> 30;
}

#if EDANAS_CRITERION == EDANAS_ENTROPY
/* Binary logarithm, 16 bits after the binary point; 0 for 0. */
static uint64_t log2_of(uint64_t number)
{
    uint64_t whole = 0, result;
    if (number == 0)
        return 0;
    while (number >> whole > 1)
        whole++;
    uint64_t fraction = whole > 30 ? number >> (whole - 30) : number << (30 - whole);
    result = whole << 16;
    for (int bit = 15; bit >= 0; bit--) {
        fraction = fraction * fraction >> 30;
        uint64_t above = fraction >> 31;
        fraction >>= above;
        result += above << bit;
    }
    return result;
}
#endif

void edanas_begin(void)
{
    memory.label = -1;
    memory.run = 0;
#if EDANAS_RULE != EDANAS_EARLY_STOP
    for (int32_t k = 0; k < EDANAS_CLASSES; k++)
        memory.sums[k] = 0;
#endif
}

#if EDANAS_RULE != EDANAS_MEAN_LOGIT
static int32_t largest_logit(const int16_t *logits)
{
    int32_t largest = logits[0];
    for (int32_t k = 1; k < EDANAS_CLASSES; k++)
        largest = logits[k] > largest ? logits[k] : largest;
    return largest;
}
#endif

#if EDANAS_RULE == EDANAS_EARLY_STOP
static int32_t largest;

static void add_exit(const int16_t *logits, int32_t exit)
{
    (void)exit;
    largest = largest_logit(logits);
}

static uint64_t weight(const int16_t *logits, int32_t exit, int32_t k)
{
    (void)exit;
    return exponential(largest - logits[k]);
}
#elif EDANAS_RULE == EDANAS_MEAN_PROBABILITY
static void add_exit(const int16_t *logits, int32_t exit)
{
    const int32_t largest = largest_logit(logits);
    uint64_t total = 0;
    for (int32_t k = 0; k < EDANAS_CLASSES; k++)
        total += exponential(largest - logits[k]);
    for (int32_t k = 0; k < EDANAS_CLASSES; k++)
        memory.sums[k] += (exponential(largest - logits[k]) << 30) / total * edanas_shares[exit] >> 16;
}

static uint64_t weight(const int16_t *logits, int32_t exit, int32_t k)
{
    (void)logits;
    (void)exit;
    return memory.sums[k];
}
#else
static int32_t largest;

static void add_exit(const int16_t *logits, int32_t exit)
{
    (void)exit;
    for (int32_t k = 0; k < EDANAS_CLASSES; k++) {
        memory.sums[k] += logits[k];
        largest = k == 0 || memory.sums[k] > largest ? memory.sums[k] : largest;
    }
}

static uint64_t weight(const int16_t *logits, int32_t exit, int32_t k)
{
    (void)logits;
    return exponential((largest - memory.sums[k]) / (exit + 1));
}
#endif

uint32_t edanas_decide(const int16_t *logits, int32_t exit, int32_t *label)
{
    uint64_t best = 0, second = 0, total = 0, spread = 0;
    *label = 0;
    add_exit(logits, exit);
    for (int32_t k = 0; k < EDANAS_CLASSES; k++) {
        const uint64_t each = weight(logits, exit, k);
        total += each;
#if EDANAS_CRITERION == EDANAS_ENTROPY
        spread += each * log2_of(each);
#endif
        if (k == 0 || each > best) {
            second = k == 0 ? 0 : best;
            best = each;
            *label = k;
        } else if (each > second) {
            second = each;
        }
    }
    memory.run = *label == memory.label ? memory.run + 1 : 1;
    memory.label = *label;
    (void)second;
    (void)spread;
#if EDANAS_CRITERION == EDANAS_PATIENCE
    uint64_t share = ((uint64_t)memory.run << 24) / EDANAS_AGREEING;
    return share > ONE ? ONE : (uint32_t)share;
#elif EDANAS_CLASSES == 1
    return ONE;
#elif EDANAS_CRITERION == EDANAS_SCORE_MARGIN
    return (uint32_t)(((best - second) << 24) / total);
#elif EDANAS_CRITERION == EDANAS_MAX_PROBABILITY
    return (uint32_t)((best << 24) / total);
#else
    int64_t entropy = (int64_t)log2_of(total) - (int64_t)(spread / total);
    entropy = entropy < 0 ? 0 : entropy;
    int64_t confidence = (int64_t)ONE - (entropy << 24) / (int64_t)log2_of(EDANAS_CLASSES);
    return confidence < 0 ? 0 : (uint32_t)confidence;
#endif
}
