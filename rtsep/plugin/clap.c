/* CLAP: parameters that move at the very sample, modulation, state, latency, stems on buses of their own, and the
   melody and keys as notes. */

#include "clap.h"
#include "core.h"
#include "notes.h"

enum { LONGEST_STATE = 64 * 1024 };

#define LONGEST_RUN (KEYS ? 256 : UINT32_MAX) /* samples after which keys are looked at */

typedef struct {
    clap_plugin_t plugin;
    const clap_host_t *host;
    Core core;
    double base[PARAMETERS], moved[PARAMETERS]; /* as set, and by how much a modulation moves it */
    Notes notes;
    bool offline; /* a file is rendered */
} Instance;

static Instance *of(const clap_plugin_t *plugin) { return plugin->plugin_data; }

/* Parameters. Their numbers in the engine never change, so they are the ids. */

static int find(clap_id id) {
    for (int p = 0; p < PARAMETERS; p++)
        if (parameters[p].number == (int)id) return p;
    return -1;
}

static void apply(Instance *self, int p) { core_set(&self->core, p, self->base[p] + self->moved[p]); }

static void hear(Instance *self, const clap_event_header_t *event) {
    if (event->space_id != CLAP_CORE_EVENT_SPACE_ID) return;
    if (event->type != CLAP_EVENT_PARAM_VALUE && event->type != CLAP_EVENT_PARAM_MOD) return;
    const clap_event_param_value_t *change = (const void *)event;
    int p = find(change->param_id);
    if (p < 0) return;
    if (event->type == CLAP_EVENT_PARAM_VALUE)
        self->base[p] = clamp(p, change->value);
    else
        self->moved[p] = isfinite(change->value) ? change->value : 0;
    apply(self, p);
}

static uint32_t count_params(const clap_plugin_t *plugin) {
    (void)plugin;
    return PARAMETERS;
}

static bool get_info(const clap_plugin_t *plugin, uint32_t index, clap_param_info_t *info) {
    (void)plugin;
    if (index >= PARAMETERS) return false;
    const Parameter *told = &parameters[index];
    memset(info, 0, sizeof *info);
    info->id = (clap_id)told->number;
    info->flags = CLAP_PARAM_IS_AUTOMATABLE;
    if (told->step > 0) info->flags |= CLAP_PARAM_IS_STEPPED;
    if (told->choices) info->flags |= CLAP_PARAM_IS_ENUM;
    if (!told->choices) info->flags |= CLAP_PARAM_IS_MODULATABLE;
    if (!strcmp(told->id, "bypass")) info->flags |= CLAP_PARAM_IS_BYPASS;
    snprintf(info->name, sizeof info->name, "%s", told->name);
    const char *dot = strchr(told->id, '.');
    if (dot) snprintf(info->module, sizeof info->module, "%.*s", (int)(dot - told->id), told->id);
    info->min_value = told->low;
    info->max_value = told->high;
    info->default_value = told->start;
    return true;
}

static bool get_value(const clap_plugin_t *plugin, clap_id id, double *value) {
    int p = find(id);
    if (p >= 0) *value = of(plugin)->base[p];
    return p >= 0;
}

static bool value_to_text(const clap_plugin_t *plugin, clap_id id, double value, char *text, uint32_t size) {
    (void)plugin;
    int p = find(id);
    if (p < 0 || size == 0) return false;
    const Parameter *told = &parameters[p];
    if (told->choices)
        snprintf(text, size, "%s", told->choices[(int)clamp(p, value)]);
    else if (told->decibels && value <= SILENCE_DB)
        snprintf(text, size, "-inf dB");
    else
        snprintf(text, size, told->decibels ? "%.1f %s" : told->unit[0] ? "%.0f %s" : "%.2f", value, told->unit);
    return true;
}

static bool text_to_value(const clap_plugin_t *plugin, clap_id id, const char *text, double *value) {
    (void)plugin;
    int p = find(id);
    if (p < 0) return false;
    const Parameter *told = &parameters[p];
    for (int c = 0; told->choices && c <= (int)told->high; c++)
        if (!strcmp(text, told->choices[c])) return *value = c, true;
    char *rest;
    double number = strtod(text, &rest); /* knows -inf too */
    if (rest == text || isnan(number)) return false;
    *value = clamp(p, number);
    return true;
}

static void flush(const clap_plugin_t *plugin, const clap_input_events_t *in, const clap_output_events_t *out) {
    (void)out;
    for (uint32_t i = 0; i < in->size(in); i++) hear(of(plugin), in->get(in, i));
}

/* State: a line for each parameter, so that another version takes what it knows. Values are in millionths: a decimal
   point would be a comma in some countries. */

static bool save(const clap_plugin_t *plugin, const clap_ostream_t *stream) {
    char line[320];
    for (int p = -1; p < PARAMETERS; p++) {
        int length = p < 0 ? snprintf(line, sizeof line, "rtsep 1\n")
                           : snprintf(line, sizeof line, "%s %lld\n", parameters[p].id, llround(1e6 * of(plugin)->base[p]));
        for (int64_t done = 0; done < length;) {
            int64_t written = stream->write(stream, line + done, (uint64_t)(length - done));
            if (written <= 0) return false;
            done += written;
        }
    }
    return true;
}

static bool load(const clap_plugin_t *plugin, const clap_istream_t *stream) {
    char *text = malloc(LONGEST_STATE + 1);
    size_t length = 0;
    int64_t more = 1;
    while (text && length < LONGEST_STATE && (more = stream->read(stream, text + length, LONGEST_STATE - length)) > 0)
        length += (size_t)more;
    bool good = text && more == 0 && length >= 6 && !memcmp(text, "rtsep ", 6);
    if (good) {
        Instance *self = of(plugin);
        text[length] = 0;
        for (int p = 0; p < PARAMETERS; p++) self->base[p] = parameters[p].start;
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
            char *gap = strchr(line, ' ');
            if (!gap) continue;
            *gap = 0;
            for (int p = 0; p < PARAMETERS; p++)
                if (!strcmp(line, parameters[p].id)) self->base[p] = clamp(p, 1e-6 * (double)strtoll(gap + 1, NULL, 10));
        }
        for (int p = 0; p < PARAMETERS; p++) apply(self, p);
        const clap_host_params_t *shown = self->host->get_extension(self->host, "clap.params");
        if (shown) shown->rescan(self->host, CLAP_PARAM_RESCAN_VALUES);
    }
    free(text);
    return good;
}

/* Ports */

static uint32_t count_audio(const clap_plugin_t *plugin, bool input) {
    (void)plugin;
    return input ? 1 : 1 + STEMS_OUT * STEMS;
}

static bool get_audio(const clap_plugin_t *plugin, uint32_t index, bool input, clap_audio_port_info_t *info) {
    if (index >= count_audio(plugin, input)) return false;
    memset(info, 0, sizeof *info);
    info->id = index;
    snprintf(info->name, sizeof info->name, "%s", input ? "input" : index ? stem_names[index - 1] : "mix");
    info->flags = index ? 0 : CLAP_AUDIO_PORT_IS_MAIN;
    info->channel_count = CHANNELS;
    info->port_type = CHANNELS == 1 ? "mono" : "stereo";
    info->in_place_pair = index ? CLAP_INVALID_ID : 0;
    return true;
}

static uint32_t count_notes(const clap_plugin_t *plugin, bool input) {
    (void)plugin;
    return input ? 0 : KEYS ? 2 : 1;
}

static bool get_notes(const clap_plugin_t *plugin, uint32_t index, bool input, clap_note_port_info_t *info) {
    if (index >= count_notes(plugin, input)) return false;
    memset(info, 0, sizeof *info);
    info->id = index;
    info->supported_dialects = info->preferred_dialect = CLAP_NOTE_DIALECT_CLAP;
    snprintf(info->name, sizeof info->name, index == MELODY_PORT ? "melody" : "keys");
    return true;
}

/* Rendering: another mode may serve, with another latency, which a host asks for when it activates. */

static bool hurries(const clap_plugin_t *plugin) {
    (void)plugin;
    return false;
}

static bool set_render(const clap_plugin_t *plugin, int32_t mode) {
    Instance *self = of(plugin);
    bool changes = OFFLINE && self->offline != (mode == CLAP_RENDER_OFFLINE);
    self->offline = mode == CLAP_RENDER_OFFLINE;
    if (changes && self->core.state) self->host->request_restart(self->host);
    return true;
}

static uint32_t latency(const clap_plugin_t *plugin) { return (uint32_t)of(plugin)->core.latency; }

/* Sound */

static int32_t process(const clap_plugin_t *plugin, const clap_process_t *io) {
    Instance *self = of(plugin);
    uint32_t start = 0, events = io->in_events ? io->in_events->size(io->in_events) : 0, next = 0;
    if (!io->audio_inputs_count || !io->audio_outputs_count || io->audio_inputs[0].channel_count < CHANNELS ||
        io->audio_outputs[0].channel_count < CHANNELS || !io->audio_inputs[0].data32 || !io->audio_outputs[0].data32)
        return CLAP_PROCESS_ERROR;
    do { /* up to each event */
        uint32_t stop = io->frames_count;
        for (; next < events; next++) {
            const clap_event_header_t *event = io->in_events->get(io->in_events, next);
            if (event->time > start && start < io->frames_count) {
                if (event->time < stop) stop = event->time;
                break;
            }
            hear(self, event);
        }
        if (stop - start > LONGEST_RUN) stop = start + LONGEST_RUN;
        const float *in[CHANNELS];
        float *out[CHANNELS], *stems[STEMS * CHANNELS] = {0};
        for (int c = 0; c < CHANNELS; c++) {
            in[c] = io->audio_inputs[0].data32[c] + start;
            out[c] = io->audio_outputs[0].data32[c] + start;
        }
        for (int s = 0; STEMS_OUT && s < STEMS * CHANNELS; s++) {
            uint32_t bus = 1 + (uint32_t)(s / CHANNELS), channel = (uint32_t)(s % CHANNELS);
            if (bus < io->audio_outputs_count && io->audio_outputs[bus].data32 &&
                channel < io->audio_outputs[bus].channel_count)
                stems[s] = io->audio_outputs[bus].data32[channel] + start;
        }
        if (stop > start) core_run(&self->core, in, out, STEMS_OUT ? stems : NULL, stop - start);
        if (stop > start && io->out_events && self->core.state) {
            tell_melody(&self->notes, &self->core, io->out_events, stop - 1);
            if (KEYS) tell_keys(&self->notes, &self->core, io->out_events, stop - 1, stop - start);
        }
        start = stop;
    } while (start < io->frames_count);
    return CLAP_PROCESS_CONTINUE;
}

static bool activate(const clap_plugin_t *plugin, double rate, uint32_t least, uint32_t most) {
    (void)least, (void)most;
    notes_reset(&of(plugin)->notes);
    return core_start(&of(plugin)->core, rate, of(plugin)->offline);
}

static void deactivate(const clap_plugin_t *plugin) { core_stop(&of(plugin)->core); }

static void reset(const clap_plugin_t *plugin) { core_reset(&of(plugin)->core); }

static void destroy(const clap_plugin_t *plugin) {
    core_stop(&of(plugin)->core);
    free(of(plugin));
}

static bool yes(const clap_plugin_t *plugin) {
    (void)plugin;
    return true;
}

static void nothing(const clap_plugin_t *plugin) { (void)plugin; }

static const void *get_extension(const clap_plugin_t *plugin, const char *id) {
    static const clap_plugin_params_t params = {count_params, get_info, get_value, value_to_text, text_to_value, flush};
    static const clap_plugin_audio_ports_t audio = {count_audio, get_audio};
    static const clap_plugin_note_ports_t notes = {count_notes, get_notes};
    static const clap_plugin_state_t state = {save, load};
    static const clap_plugin_samples_t samples = {latency};
    static const clap_plugin_render_t render = {hurries, set_render};
    static const struct { const char *id; const void *extension; } known[] = {
        {CLAP_EXT_PARAMS, &params}, {CLAP_EXT_AUDIO_PORTS, &audio}, {CLAP_EXT_NOTE_PORTS, &notes},
        {CLAP_EXT_STATE, &state},   {CLAP_EXT_LATENCY, &samples},   {CLAP_EXT_TAIL, &samples},
        {CLAP_EXT_RENDER, &render}};
    (void)plugin;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(id, known[i].id)) return known[i].extension;
    return NULL;
}

static const char *const features[] = {"audio-effect", CHANNELS == 1 ? "mono" : "stereo", "restoration", "utility", NULL};
static const clap_plugin_descriptor_t descriptor = {
    {1, 2, 0}, ID, NAME, "rtsep", "", "", "", VERSION, "Live un-mixing: drums, lead and harmonies apart.", features};

static uint32_t count_plugins(const clap_plugin_factory_t *factory) {
    (void)factory;
    return 1;
}

static const clap_plugin_descriptor_t *get_descriptor(const clap_plugin_factory_t *factory, uint32_t index) {
    (void)factory;
    return index ? NULL : &descriptor;
}

static const clap_plugin_t *create(const clap_plugin_factory_t *factory, const clap_host_t *host, const char *id) {
    (void)factory;
    Instance *self = strcmp(id, ID) ? NULL : calloc(1, sizeof *self);
    if (!self) return NULL;
    self->host = host;
    core_new(&self->core);
    for (int p = 0; p < PARAMETERS; p++) self->base[p] = parameters[p].start;
    self->plugin = (clap_plugin_t){&descriptor, self, yes,     destroy,       activate, deactivate, yes,
                                   nothing,     reset, process, get_extension, nothing};
    return &self->plugin;
}

static bool init(const char *path) {
    (void)path;
    return true;
}

static void deinit(void) {}

static const void *get_factory(const char *id) {
    static const clap_plugin_factory_t factory = {count_plugins, get_descriptor, create};
    return strcmp(id, CLAP_PLUGIN_FACTORY_ID) ? NULL : &factory;
}

EXPORT const clap_plugin_entry_t clap_entry = {{1, 2, 0}, init, deinit, get_factory};
