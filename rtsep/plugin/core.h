/* An instance of the engine in a host: a state made from the image that fits the host's sample rate, and its parameters.

   tables.h, written by the export, tells how many channels, stems and parameters there are, and what they are called.
   Nothing here allocates, locks or waits once core_start has returned. */

#ifndef RTSEP_CORE_H
#define RTSEP_CORE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

#include "rtsep.h"
#include "tables.h"

enum { INPUT_LEVEL, OUTPUT_LEVEL, F0, CONFIDENCE, STEM_LEVELS, LEVELS = STEM_LEVELS + STEMS }; /* of the meters */

#define PIECE 1024 /* samples that the engine takes at a time */

typedef struct {
    void *memory;   /* the state, within: at a multiple of 64 */
    rtsep *state;   /* NULL until it is started, and at a rate for which there is no image */
    int latency;    /* samples */
    double rate;
    float full_scale; /* the magnitude of a sine of full scale */
    double values[PARAMETERS]; /* in the units that a host shows */
    double heard[PARAMETERS];  /* as the engine has them */
    float levels[LEVELS];      /* linear; F0 in Hz */
    float sound[PIECE * CHANNELS], output[PIECE * CHANNELS], stems[STEMS * (PIECE + 1) * CHANNELS];
} Core;

static void core_new(Core *core) {
    memset(core, 0, sizeof *core);
    for (int p = 0; p < PARAMETERS; p++) core->values[p] = parameters[p].start;
}

static void core_stop(Core *core) {
    free(core->memory);
    core->memory = NULL;
    core->state = NULL;
}

/* An image is packed: how many words of 8 bytes are zero, how many follow, these, and so on to its end. */
static void unpack(const unsigned char *packed, const unsigned char *end, unsigned char *into) {
    while (packed < end) {
        uint32_t counts[2];
        memcpy(counts, packed, sizeof counts);
        packed += sizeof counts;
        into += 8 * (size_t)counts[0]; /* memory comes cleared */
        memcpy(into, packed, 8 * (size_t)counts[1]);
        packed += 8 * (size_t)counts[1];
        into += 8 * (size_t)counts[1];
    }
}

/* Be ready for sound at `rate` Hz, or, `offline`, to render; false if there is no image for it, or no memory. */
static bool core_start(Core *core, double rate, bool offline) {
    core_stop(core);
    for (int i = 0; i < IMAGES; i++) {
        if (images[i].rate != rate || images[i].offline != (OFFLINE && offline)) continue;
        core->memory = calloc(1, images[i].size + 64);
        if (!core->memory) return false;
        unsigned char *state = (unsigned char *)(((uintptr_t)core->memory + 63) & ~(uintptr_t)63);
        unpack(rtsep_images + images[i].start, rtsep_images + images[i].end, state);
        rtsep_create(state);
        core->state = (rtsep *)state;
        core->latency = images[i].latency;
        core->full_scale = images[i].full_scale;
        core->rate = rate;
        for (int p = 0; p < PARAMETERS; p++) core->heard[p] = NAN; /* all are told to it */
        return true;
    }
    fprintf(stderr, "%s: the sample rate is %g Hz, and this plugin is made for" RATES ".\n", NAME, rate);
    return false;
}

static double clamp(int p, double value) {
    const Parameter *of = &parameters[p];
    if (!(value > of->low)) value = of->low; /* what is no number too */
    if (value > of->high) value = of->high;
    return of->step > 0 ? of->low + of->step * floor((value - of->low) / of->step + 0.5) : value;
}

static void core_set(Core *core, int p, double value) { core->values[p] = clamp(p, value); }

static void core_reset(Core *core) {
    if (core->state) rtsep_reset(core->state);
}

static void tell_engine(Core *core) {
    for (int p = 0; p < PARAMETERS; p++) {
        double value = core->values[p];
        if (value == core->heard[p]) continue;
        core->heard[p] = value;
        if (parameters[p].decibels) value = value > SILENCE_DB ? pow(10, value / 20) : 0;
        rtsep_set(core->state, parameters[p].number, (float)value);
    }
}

/* Denormal numbers take a processor a hundred times as long. */
static uint64_t flush_denormals(void) {
    uint64_t before = 0;
#if defined(__x86_64__) || defined(_M_X64)
    before = _mm_getcsr();
    _mm_setcsr((unsigned)before | 0x8040);
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | 1 << 24));
#endif
    return before;
}

static void restore_denormals(uint64_t before) {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_setcsr((unsigned)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

/* `in` and `out` are a pointer for each channel, which may be the same; `stems` one for each channel of each stem, or
   NULL for those that nobody hears. What is no number in the input counts as silence. */
static void core_run(Core *core, const float *const *in, float *const *out, float *const *stems, uint32_t samples) {
    if (!core->state) {
        for (int c = 0; c < CHANNELS; c++) memset(out[c], 0, samples * sizeof(float));
        for (int s = 0; stems && s < STEMS * CHANNELS; s++)
            if (stems[s]) memset(stems[s], 0, samples * sizeof(float));
        return;
    }
    uint64_t mode = flush_denormals();
    tell_engine(core);
    for (uint32_t done = 0; done < samples; done += PIECE) {
        uint32_t count = samples - done < PIECE ? samples - done : PIECE;
        for (int c = 0; c < CHANNELS; c++)
            for (uint32_t i = 0; i < count; i++) {
                float value = in[c][done + i];
                core->sound[i * CHANNELS + c] = isfinite(value) ? value : 0;
            }
        rtsep_process(core->state, core->sound, NULL, core->output, core->stems, count);
        for (int c = 0; c < CHANNELS; c++)
            for (uint32_t i = 0; i < count; i++) out[c][done + i] = core->output[i * CHANNELS + c];
        for (int s = 0; stems && s < STEMS * CHANNELS; s++) {
            const float *stem = core->stems + (s / CHANNELS) * (count + 1) * CHANNELS + s % CHANNELS;
            for (uint32_t i = 0; stems[s] && i < count; i++) stems[s][done + i] = stem[i * CHANNELS];
        }
    }
    rtsep_meters(core->state, core->levels);
    restore_denormals(mode);
}

#endif
