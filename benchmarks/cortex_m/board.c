/* Start of a program on QEMU's board mps2-an386 (Cortex-M4), and a measurement of an exported network.
 *
 * Output goes through semihosting. With QEMU's `-icount shift=6`, each instruction takes 64 ns of the board's
 * time, which a timer of 25 MHz counts: 1.6 ticks an instruction.
 */
#include <stdint.h>

#include "network.h"
#include "samples.h"

#define TIMER_CTRL (*(volatile uint32_t *)0x40000000)
#define TIMER_VALUE (*(volatile uint32_t *)0x40000004)
#define TIMER_RELOAD (*(volatile uint32_t *)0x40000008)
#define PATTERN 0xA5A5A5A5u

extern uint32_t stack_limit[], stack_top[], data_load[], data_start[], data_end[], bss_start[], bss_end[];

void reset(void);
int main(void);

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[2] = {(uintptr_t)stack_top,
                                                                               (uintptr_t)reset};

static void semihosting(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(const char *text)
{
    semihosting(4, text);
}

static void number(uint32_t value, const char *after)
{
    char digits[11];
    int at = 10;
    digits[10] = 0;
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    print(digits + at);
    print(after);
}

static uint32_t used_stack(void)
{
    const uint32_t *word = stack_limit;
    while (word < stack_top && *word == PATTERN)
        word++;
    return (uint32_t)((stack_top - word) * 4);
}

__attribute__((noinline)) static void fill_stack(void)
{
    uint32_t here;
    for (uint32_t *word = stack_limit; word < &here - 16; word++)
        *word = PATTERN;
}

int main(void)
{
    fill_stack();
    TIMER_RELOAD = 0xffffffffu;
    for (int i = 0; i < SAMPLES; i++) {
        edanas_result result;
        TIMER_VALUE = 0xffffffffu;
        TIMER_CTRL = 1;
        edanas_classify(samples[i], &result);
        const uint32_t ticks = 0xffffffffu - TIMER_VALUE;
        TIMER_CTRL = 0;
        number((uint32_t)result.label, " ");
        number((uint32_t)result.exit, " ");
        number(result.confidence, " ");
        number(ticks, "\n");
    }
    print("stack ");
    number(used_stack(), "\n");
    semihosting(0x18, (const void *)0x20026); /* ends the program: ADP_Stopped_ApplicationExit */
    return 0;
}

void reset(void)
{
    for (uint32_t *from = data_load, *to = data_start; to < data_end;)
        *to++ = *from++;
    for (uint32_t *to = bss_start; to < bss_end;)
        *to++ = 0;
    main();
    for (;;) {
    }
}
