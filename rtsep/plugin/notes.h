/* What sounds, as notes: the melody on one port, the keys of templates with pitches on another, a channel for each part.

   A key is struck once its level has stood above a threshold beside the loudest of late, and ends below a lower one; a
   level that rises steeply within a note is a new stroke, as in rtsep/offline/notes.py. What that hears of the future,
   here the first moments of a note are waited for. */

#ifndef RTSEP_NOTES_H
#define RTSEP_NOTES_H

#include "clap.h"
#include "core.h"

enum { NO_NOTE = -1, MELODY_PORT = 0, KEYS_PORT = 1 };

#define STRUCK 0.251f      /* of the loudest: -12 dB */
#define ENDED 0.126f       /* 6 dB less */
#define STROKE 3.0f        /* times the least of this note */
#define CONFIRM_S 0.04
#define AGAIN_S 0.1        /* between strokes of a key */
#define FORGET_S 20.0      /* in which the loudest is forgotten by 60 dB */
#define FAINT 3e-3f        /* of a sine of full scale, or silence would be full of notes */
#define MELODY_VELOCITY 0.8

typedef struct {
    int melody;       /* that sounds, a MIDI number, or NO_NOTE */
    float loudest;
    uint64_t now;     /* samples so far */
    struct {
        bool sounds, rises;
        uint64_t since; /* it sounds, or has risen above the threshold */
        float least;    /* level since it sounds */
    } keys[KEYS + 1];
} Notes;

static void notes_reset(Notes *notes) {
    memset(notes, 0, sizeof *notes);
    notes->melody = NO_NOTE;
}

static void send(const clap_output_events_t *out, bool on, int port, int channel, int key, double velocity, uint32_t at) {
    uint16_t type = on ? CLAP_EVENT_NOTE_ON : CLAP_EVENT_NOTE_OFF;
    clap_event_note_t event = {{sizeof event, at, CLAP_CORE_EVENT_SPACE_ID, type, 0},
                               -1, (int16_t)port, (int16_t)channel, (int16_t)key, velocity};
    out->try_push(out, &event.header);
}

/* The melody: another note begins where the pitch has left the last by more than 0.6 semitones. */
static void tell_melody(Notes *notes, const Core *core, const clap_output_events_t *out, uint32_t at) {
    float hertz = core->levels[F0];
    double pitch = hertz > 0 ? 69 + 12 * log2(hertz / 440) : NO_NOTE;
    if (hertz > 0 && notes->melody != NO_NOTE && fabs(pitch - notes->melody) <= 0.6) return;
    int note = hertz > 0 ? (int)floor(pitch + 0.5) : NO_NOTE;
    if (note == notes->melody) return;
    if (notes->melody != NO_NOTE) send(out, false, MELODY_PORT, 0, notes->melody, MELODY_VELOCITY, at);
    if (note != NO_NOTE) send(out, true, MELODY_PORT, 0, note, MELODY_VELOCITY, at);
    notes->melody = note;
}

static void tell_keys(Notes *notes, const Core *core, const clap_output_events_t *out, uint32_t at, uint32_t samples) {
    float activations[COMPONENTS + 1], levels[KEYS + 1] = {0}, loudest = 0;
    notes->now += samples;
    rtsep_activations(core->state, activations);
    for (int c = 0; c < COMPONENTS; c++) levels[key_of[c]] += activations[c] / core->full_scale;
    for (int k = 0; k < KEYS; k++) loudest = fmaxf(loudest, levels[k]);
    float kept = notes->loudest * powf(10, (float)(-3.0 * samples / (FORGET_S * core->rate)));
    notes->loudest = fmaxf(fmaxf(loudest, kept), FAINT);
    for (int k = 0; k < KEYS; k++) {
        float level = levels[k] / notes->loudest;
        uint64_t age = notes->now - notes->keys[k].since;
        bool ends = notes->keys[k].sounds && level < ENDED, strikes = false;
        if (notes->keys[k].sounds) {
            notes->keys[k].least = fminf(notes->keys[k].least, level);
            strikes = level > STRUCK && level > STROKE * notes->keys[k].least && age > AGAIN_S * core->rate;
        } else if (level <= STRUCK) {
            notes->keys[k].rises = false;
        } else if (!notes->keys[k].rises) {
            notes->keys[k].rises = true;
            notes->keys[k].since = notes->now;
        } else {
            strikes = age >= CONFIRM_S * core->rate;
        }
        if (ends || (strikes && notes->keys[k].sounds)) send(out, false, KEYS_PORT, keys[k].part, keys[k].pitch, 0, at);
        if (strikes) send(out, true, KEYS_PORT, keys[k].part, keys[k].pitch, fmin(sqrt(level), 1), at);
        if (ends || strikes) {
            notes->keys[k].sounds = strikes;
            notes->keys[k].rises = false;
            notes->keys[k].since = notes->now;
            notes->keys[k].least = level;
        }
    }
}

#endif
