/* The decision at an exit: logits -> label and confidence. Whole numbers only. */
#ifndef EDANAS_DECISION_H
#define EDANAS_DECISION_H

#include <stdint.h>

/* Results that an exit keeps for later exits of the same image. */
void edanas_begin(void);

/* Returns the confidence, 24 bits after the binary point, and the predicted class in `label`.
 * Logits have 8 bits after the binary point. `exit` counts from 0. */
uint32_t edanas_decide(const int16_t *logits, int32_t exit, int32_t *label);

#endif
