/* LADSPA and LV2: a port for each channel, for what is measured, and for each parameter.

   Both know the same ports in the same order. LADSPA can tell a host few defaults, so it sees only the parameters that
   come first, of which it can; the others stay as they are made. The interfaces are those of ladspa.h 1.1 (Furse,
   2000) and lv2core 1.18 (Robillard and Harris, lv2plug.in). */

#define HOLDS_IMAGES
#include "core.h"

enum { INS = CHANNELS, OUTS = CHANNELS * (1 + STEMS_OUT * STEMS), MEASURED = 1 + LEVELS, FIRST = INS + OUTS + MEASURED };
enum { PORTS = FIRST + PARAMETERS, LADSPA_PORTS = FIRST + LADSPA_PARAMETERS };
enum { LATENCY = INS + OUTS, METERS };

typedef struct {
    Core core;
    float *ports[PORTS];
} Instance;

static void *begin(double rate) {
    Instance *self = malloc(sizeof *self);
    if (!self) return NULL;
    core_new(&self->core);
    memset(self->ports, 0, sizeof self->ports);
    if (core_start(&self->core, rate, false)) return self;
    free(self);
    return NULL;
}

static void connect(void *instance, uint32_t port, void *data) {
    if (port < PORTS) ((Instance *)instance)->ports[port] = data;
}

static void activate(void *instance) { core_reset(&((Instance *)instance)->core); }

/* What a meter shows: decibels, but of the pitch Hz, and of its confidence 0 to 1. */
static float metered(const Core *core, int m) {
    float level = core->levels[m];
    if (m == F0 || m == CONFIDENCE) return level;
    return level > 0 ? fmaxf(20 * log10f(level), SILENCE_DB) : SILENCE_DB;
}

static void run(void *instance, uint32_t samples) {
    Instance *self = instance;
    for (int p = 0; p < PARAMETERS; p++)
        if (self->ports[FIRST + p]) core_set(&self->core, p, *self->ports[FIRST + p]);
    float *const *outs = self->ports + INS;
    core_run(&self->core, (const float *const *)self->ports, outs, STEMS_OUT ? outs + CHANNELS : NULL, samples);
    if (self->ports[LATENCY]) *self->ports[LATENCY] = (float)self->core.latency;
    for (int m = 0; m < LEVELS; m++)
        if (self->ports[METERS + m]) *self->ports[METERS + m] = metered(&self->core, m);
}

static void end(void *instance) {
    core_stop(&((Instance *)instance)->core);
    free(instance);
}

/* LADSPA */

typedef struct { int hints; float low, high; } Range;

typedef struct Ladspa {
    unsigned long id;
    const char *label;
    int properties;
    const char *name, *maker, *copyright;
    unsigned long port_count;
    const int *port_kinds;
    const char *const *port_names;
    const Range *ranges;
    void *data;
    void *(*instantiate)(const struct Ladspa *, unsigned long rate);
    void (*connect_port)(void *, unsigned long port, float *);
    void (*activate)(void *);
    void (*run)(void *, unsigned long samples);
    void (*run_adding)(void *, unsigned long samples);
    void (*set_run_adding_gain)(void *, float);
    void (*deactivate)(void *);
    void (*cleanup)(void *);
} Ladspa;

enum { INPUT = 1, OUTPUT = 2, CONTROL = 4, AUDIO = 8, BELOW = 1, ABOVE = 2, TOGGLED = 4, WHOLE = 32 };
enum { AT_LOW = 0x40, AT_MIDDLE = 0xC0, AT_HIGH = 0x140, AT_0 = 0x200, AT_1 = 0x240 };

static void *ladspa_begin(const Ladspa *of, unsigned long rate) {
    (void)of;
    return begin((double)rate);
}
static void ladspa_connect(void *instance, unsigned long port, float *data) { connect(instance, (uint32_t)port, data); }
static void ladspa_run(void *instance, unsigned long samples) { run(instance, (uint32_t)samples); }

EXPORT const Ladspa *ladspa_descriptor(unsigned long index) {
    static int kinds[LADSPA_PORTS];
    static Range ranges[LADSPA_PORTS];
    static Ladspa told = {LADSPA_ID,     LABEL,        4, /* hard real time */
                          NAME,          "rtsep",      LICENSE,
                          LADSPA_PORTS,  kinds,        port_names,
                          ranges,        NULL,         ladspa_begin,
                          ladspa_connect, activate,    ladspa_run,
                          NULL,          NULL,         NULL,
                          end};
    if (index) return NULL;
    for (int i = 0; i < FIRST; i++) kinds[i] = (i < INS ? INPUT : OUTPUT) | (i < INS + OUTS ? AUDIO : CONTROL);
    for (int p = 0; p < LADSPA_PARAMETERS; p++) {
        const Parameter *of = &parameters[p];
        int start = of->start == 0      ? AT_0
                    : of->start == 1        ? AT_1
                    : of->start == of->low  ? AT_LOW
                    : of->start == of->high ? AT_HIGH
                                            : AT_MIDDLE;
        /* A fader that starts elsewhere tells a range of which that is the middle. */
        double low = start == AT_MIDDLE ? 2 * of->start - of->high : of->low;
        kinds[FIRST + p] = INPUT | CONTROL;
        ranges[FIRST + p] = (Range){BELOW | ABOVE | start, (float)low, (float)of->high};
        if (of->choices) ranges[FIRST + p].hints |= of->high == 1 ? TOGGLED : WHOLE;
        if (of->choices && of->high == 1) ranges[FIRST + p].hints &= ~(BELOW | ABOVE);
    }
    return &told;
}

/* LV2 */

typedef struct Lv2 {
    const char *uri;
    void *(*instantiate)(const struct Lv2 *, double rate, const char *bundle, const void *const *features);
    void (*connect_port)(void *, uint32_t port, void *);
    void (*activate)(void *);
    void (*run)(void *, uint32_t samples);
    void (*deactivate)(void *);
    void (*cleanup)(void *);
    const void *(*extension_data)(const char *uri);
} Lv2;

static void *lv2_begin(const Lv2 *of, double rate, const char *bundle, const void *const *features) {
    (void)of, (void)bundle, (void)features;
    return begin(rate);
}

EXPORT const Lv2 *lv2_descriptor(uint32_t index) {
    static const Lv2 told = {URI, lv2_begin, connect, activate, run, NULL, end, NULL};
    return index ? NULL : &told;
}
