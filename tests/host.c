/* A host of a LADSPA plugin with nothing else in it: raw float32 from standard input, through it, to standard output.

   host PLUGIN RATE CHANNELS BLOCK [PORT VALUE] ... */

#include <stdio.h>
#include <stdlib.h>
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <windows.h>
#else
#include <dlfcn.h>
#endif

enum { PORTS = 128, MOST = 4096 };

typedef struct Plugin {
    unsigned long id;
    const char *label;
    int properties;
    const char *name, *maker, *copyright;
    unsigned long port_count;
    const int *kinds;
    const char *const *port_names;
    const void *ranges;
    void *data;
    void *(*instantiate)(const struct Plugin *, unsigned long rate);
    void (*connect_port)(void *, unsigned long port, float *);
    void (*activate)(void *);
    void (*run)(void *, unsigned long samples);
    void (*run_adding)(void *, unsigned long samples);
    void (*set_run_adding_gain)(void *, float);
    void (*deactivate)(void *);
    void (*cleanup)(void *);
} Plugin;

static void *symbol(const char *path) {
#ifdef _WIN32
    _setmode(0, _O_BINARY);
    _setmode(1, _O_BINARY);
    HMODULE library = LoadLibraryA(path);
    return library ? (void *)GetProcAddress(library, "ladspa_descriptor") : NULL;
#else
    void *library = dlopen(path, RTLD_NOW);
    if (!library) fprintf(stderr, "%s\n", dlerror());
    return library ? dlsym(library, "ladspa_descriptor") : NULL;
#endif
}

int main(int count, char **given) {
    if (count < 5) return 2;
    const Plugin *(*descriptor)(unsigned long) = (const Plugin *(*)(unsigned long))symbol(given[1]);
    const Plugin *plugin = descriptor ? descriptor(0) : NULL;
    if (!plugin) return 3;
    static float values[PORTS], in[8][MOST], out[8][MOST], sound[8 * MOST];
    int channels = atoi(given[3]), block = atoi(given[4]), ins = 0, outs = 0;
    void *instance = plugin->instantiate(plugin, strtoul(given[2], NULL, 10));
    if (!instance) return 4;
    for (unsigned long p = 0; p < plugin->port_count; p++) {
        int audio = plugin->kinds[p] & 8, input = plugin->kinds[p] & 1;
        if (audio) plugin->connect_port(instance, p, input ? in[ins++] : out[outs++]);
    }
    for (unsigned long p = 0; p < plugin->port_count; p++) /* what is measured, and what is moved */
        if (plugin->kinds[p] == (2 | 4)) plugin->connect_port(instance, p, &values[p]);
    for (int i = 5; i + 1 < count; i += 2) {
        int port = atoi(given[i]);
        values[port] = (float)atof(given[i + 1]);
        plugin->connect_port(instance, (unsigned long)port, &values[port]);
    }
    plugin->activate(instance);
    for (size_t got; (got = fread(sound, sizeof(float) * channels, block, stdin)) > 0;) {
        for (size_t i = 0; i < got * channels; i++) in[i % channels][i / channels] = sound[i];
        plugin->run(instance, got);
        for (size_t i = 0; i < got * channels; i++) sound[i] = out[i % channels][i / channels];
        fwrite(sound, sizeof(float) * channels, got, stdout);
    }
    if (plugin->deactivate) plugin->deactivate(instance);
    plugin->cleanup(instance);
    return 0;
}
