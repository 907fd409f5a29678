// What is seen and touched. All that sounds is behind `engine`: parameters, frames, events.

import Engine from "./engine.js";
import { Drawer, modeChooser } from "./drawer.js";
import { format } from "./fader.js";
import { History } from "./history.js";
import { Karaoke } from "./karaoke.js";
import { Midi } from "./midi.js";
import { Spectrogram, note } from "./spectrogram.js";
import * as store from "./store.js";
import { Mixer, icon, make } from "./strips.js";
import { Waveform, clock, drawBars, fresh } from "./waveform.js";
import { download, wav } from "./wav.js";

// One colour for a stem everywhere (Okabe and Ito's, which the colour-blind tell apart), and always with its letter.
const LOOKS = {
  percussive: { letter: "D", name: "Drums", color: "#E69F00" },
  melody: { letter: "V", name: "Voice", color: "#56B4E9" },
  harmony: { letter: "H", name: "Harmony", color: "#009E73", about: "bass and chords" },
  residual: { letter: "R", name: "Rest", color: "#999999" },
  harmonic: { letter: "VH", name: "All tones", color: "#8a929b" },
  accompaniment: { letter: "DHR", name: "Band", color: "#8a929b" },
  output: { name: "Out", color: "text" },
  kick: { letter: "K", name: "Kick", color: "#D55E00" },
  snare: { letter: "S", name: "Snare", color: "#E69F00" },
  hihat: { letter: "HH", name: "Hi-hat", color: "#F0E442" },
  toms: { letter: "T", name: "Toms", color: "#CC79A7" },
  cymbals: { letter: "C", name: "Cymbals", color: "#0072B2" },
  lower: { letter: "L", name: "Lower", color: "#0072B2", about: "the lower half of the keys" },
  upper: { letter: "U", name: "Upper", color: "#E69F00", about: "the upper half of the keys" },
};
const OTHERS = ["#CC79A7", "#0072B2", "#D55E00", "#F0E442"]; // for stems that have no name here
const FPS = 60, FEWER_FPS = 30, SLOW_FPS = 15, FEW_CORES = 4;
const PACE_MS = 21; // between two pictures on the whole, from which on the device draws too slowly for FPS
const TOO_SLOW = 0.85, TOO_SLOW_MS = 2000;
const SAID_MS = 5000, HINT_MS = 12000, SAVE_MS = 400;
const PASSING = new Set(["output.mute", "melody.duck", "microphone.gain_db"]); // matters of a moment: nobody wants to begin in one
// Faders reach above 0 dB: as in live use of the command line, the limiter is on. A microphone through loudspeakers howls.
const START = { limiter: 1, "microphone.gain_db": -Infinity };
const KEYS = [
  ["1 to 9", "choose a strip"], ["left, right", "the strip before, the next"], ["up, down", "its level by 1 dB"],
  ["page up, page down", "its level by 6 dB"], ["Home, End", "its level to 0 dB, to silence"], ["Enter", "type its level"],
  ["M, S", "mute it, solo it"], ["space", "play, pause"], ["B", "bypass: the input as it is"], ["U, Ctrl+Z", "undo"],
  ["P, Shift+P", "the preset after, before"], ["L, Shift+L", "learn a MIDI control for its level, its mute"],
  ["F", "forget its MIDI controls"], ["C", "clear the clip lights"], ["A", "A and B of a loop"], ["Escape", "end learning, close"],
];

const $ = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");

// Messages

let quiet = 0;

/** Say something for a while; buttons are [text, what they do], and keep it there. */
function say(sentence, ...buttons) {
  clearTimeout(quiet);
  show($("says"), sentence, buttons);
  if (!buttons.length && sentence) quiet = setTimeout(() => $("says").replaceChildren(), SAID_MS);
}

/** Say what went wrong; it stays until it is closed or something works. */
function fail(sentence, ...buttons) {
  show($("warns"), sentence, buttons);
}

function show(place, sentence, buttons) {
  if (!sentence) return place.replaceChildren();
  const close = make("button", { className: "icon", type: "button" }, icon("close"));
  close.setAttribute("aria-label", "Close this message");
  close.onclick = () => place.replaceChildren();
  const made = buttons.map(([text, act]) => {
    const button = make("button", { type: "button" }, text);
    button.onclick = () => {
      place.replaceChildren();
      act();
    };
    return button;
  });
  return place.replaceChildren(make("p", {}, sentence), ...made, close);
}

/** Do what a person asked for; what goes wrong is said. */
const act = (doing) => async (...given) => {
  try {
    return await doing(...given);
  } catch (error) {
    console.error(error);
    fail(error.message);
    return undefined;
  }
};

const kept = store.load("session", {});
let engine;
try {
  engine = await Engine.load({ kit: kept.choices?.kit });
} catch (error) {
  fail(error.message, ["Try again", () => location.reload()]);
  throw error;
}

const table = new Map(engine.parameters.map((parameter) => [parameter.id, parameter]));
const history = new History(engine);

function looks(name) {
  if (LOOKS[name]) return LOOKS[name];
  const s = Math.max(engine.stems.indexOf(name), 0);
  return { letter: name[0].toUpperCase(), name: name[0].toUpperCase() + name.slice(1), color: OTHERS[s % OTHERS.length] };
}

/** What a person calls a parameter: "Drums level". */
function nameOf(id) {
  const [first, part] = id.split("."), parts = { gain_db: "level", mute: "mute", solo: "solo" };
  if (part in parts && LOOKS[first]) return `${looks(first).name} ${parts[part]}`;
  const { name } = table.get(id);
  return name[0].toUpperCase() + name.slice(1);
}

// Levels and choices of the last time. Before anything listens: that is no change.

// The engine of another machine has its own.
const begun = engine.remote ? [] : [...Object.entries(START), ...Object.entries(kept.values ?? {}).filter(([id]) => !PASSING.has(id))];
for (const [id, value] of begun) if (table.has(id)) engine.set(id, value);
if (!engine.remote && engine.modes.some(({ name }) => name === kept.mode)) engine.setMode(kept.mode).catch(() => {});
const choices = { groups: false, range: 60, hinted: false, buffer: "interactive", kit: "", ...kept.choices };
if (!engine.remote) engine.setBuffer(choices.buffer);

const levels = () => Object.fromEntries(engine.parameters.filter(({ id }) => !PASSING.has(id)).map(({ id }) => [id, engine.get(id)]));

let saving = 0;
function keepSession() {
  clearTimeout(saving);
  saving = setTimeout(saveSession, SAVE_MS);
}
function saveSession() {
  if (!saving) return;
  clearTimeout(saving);
  saving = 0;
  store.save("session", engine.remote ? { ...kept, choices } : { values: { ...kept.values, ...levels(), ...karaoke?.kept }, mode: engine.mode, choices });
}
engine.addEventListener("change", keepSession);
addEventListener("pagehide", saveSession);

// The mixer

const midi = new Midi({
  find: (id) => table.get(id),
  get: (id) => engine.get(id),
  set: (id, value) => history.set({ [id]: value }, "midi"),
  silence: () => table.has("output.mute") && history.set({ "output.mute": 1 }, "midi"),
  program: (number, bank) => {
    const found = store.presets(engine).find((preset) => preset.program === number && (preset.bank ?? 0) === bank);
    if (found) recall(found);
  },
  undoable: (what, back) => history.add(what, back),
}, engine.about);
const mixer = new Mixer($("strips"), engine, history, looks, { fail, learn });
mixer.build(choices.groups);

function learn(id) {
  act(async () => {
    await midi.open();
    if (!midi.ports.length) say("No controller is plugged in. Plug one in and move it.");
    midi.learn(id);
  })();
}

function forget(ids, name) {
  if (!midi.forget(name, ids)) return say(`No MIDI control moves ${name}.`);
  return say(`Forgotten: what moves ${name}.`, ["Undo", undo]);
}

function showLearning() {
  const id = midi.learning, [first] = id?.split(".") ?? [];
  document.body.classList.toggle("learning", Boolean(id));
  for (const strip of mixer.strips) strip.box.classList.toggle("learns", Boolean(id) && strip.prefix === first);
  for (const row of document.querySelectorAll("#drawer .setting")) row.classList.toggle("learns", row.dataset.id === id);
  if (!id) return;
  const { tracks, status } = midi.learner;
  clearTimeout(quiet);
  show($("says"), tracks.size ? status : `${status} It will move ${nameOf(id)}.`, [["Cancel", () => midi.cancel()]]);
}

function showControls() {
  $("midi").textContent = !midi.access ? "MIDI" : midi.ports.length ? `MIDI ${midi.ports.join(", ")}` : "MIDI: none";
  document.body.classList.toggle("midi", Boolean(midi.ports.length));
  const { ghosts } = midi;
  for (const strip of mixer.strips) {
    strip.told.textContent = midi.controlOf(strip.gain);
    const ghost = ghosts.get(strip.gain);
    strip.ghost.hidden = ghost === undefined;
    if (ghost !== undefined) strip.ghost.style.setProperty("--at", ghost);
  }
}
midi.addEventListener("learning", showLearning);
midi.addEventListener("learned", ({ detail }) => say(`${detail.control} of ${detail.port} moves ${nameOf(detail.id)}.`));
for (const kind of ["ports", "bindings", "ghosts"]) midi.addEventListener(kind, showControls);

// Presets

let preset = null;

function recall(chosen) {
  const values = Object.fromEntries(Object.entries(chosen.values).filter(([id]) => table.has(id)));
  history.set(values, "preset");
  preset = chosen.name;
  say(`Preset: ${preset.replace("-", " ")}.`, ["Undo", undo]);
  clearTimeout(quiet);
  quiet = setTimeout(() => $("says").replaceChildren(), SAID_MS);
}

/** A preset file of the command line: kept under its name, and recalled. */
const readPreset = act(async (file) => {
  const name = file.name.replace(/\.toml$/i, ""), { values, ...more } = store.fromToml(await file.text(), engine.parameters);
  store.keep(engine, name, values, more);
  showPresets();
  recall({ name, values });
});

function nextPreset(step) {
  const all = store.presets(engine), at = all.findIndex(({ name }) => name === preset);
  recall(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length]);
}

function showPresets() {
  const all = store.presets(engine);
  const row = (each) => {
    const button = make("button", { type: "button", className: "pick" }, each.shipped ? each.name.replace("-", " ") : each.name);
    button.setAttribute("aria-pressed", String(each.name === preset));
    button.onclick = () => {
      recall(each);
      $("presets").open = false;
    };
    const write = make("button", { type: "button", className: "plain" }, "Save to file");
    write.setAttribute("aria-label", `Save to file: ${each.name}`);
    write.onclick = () => download(new Blob([store.toToml(each, engine.parameters)], { type: "application/toml" }), `${each.name}.toml`);
    if (each.shipped) return make("li", {}, button, write);
    const gone = make("button", { type: "button", className: "icon" }, icon("close"));
    gone.setAttribute("aria-label", `Delete ${each.name}`);
    gone.onclick = () => {
      const back = store.drop(each.name);
      history.add(`preset ${each.name}`, () => (back(), showPresets()));
      say(`Deleted: ${each.name}.`, ["Undo", undo]);
      showPresets();
    };
    return make("li", {}, button, write, gone);
  };
  const name = make("input", { type: "text", placeholder: "Name these levels", maxLength: 64 });
  name.setAttribute("aria-label", "Name of a new preset");
  const form = make("form", { className: "line" }, name, make("button", { type: "submit" }, "Keep"));
  form.onsubmit = act((event) => {
    event.preventDefault();
    const given = name.value.trim();
    if (!given) return name.focus();
    store.keep(engine, given, levels());
    preset = given;
    say(`Kept as ${given}.`);
    return showPresets();
  });
  const file = make("input", { type: "file", accept: ".toml", hidden: true });
  file.onchange = () => readPreset(file.files[0]);
  const read = make("button", { type: "button" }, "Open a preset file");
  read.onclick = () => file.click();
  const rest = make("button", { type: "button", className: "pick" }, "all at 0 dB");
  rest.onclick = () => {
    recall({ name: "all at 0 dB", values: store.flat(engine) });
    $("presets").open = false;
  };
  $("preset-sheet").replaceChildren(make("ul", {}, make("li", {}, rest), ...all.map(row)), form, read, file);
}
$("presets").addEventListener("toggle", () => $("presets").open && showPresets());

// Undo

function undo() {
  const done = history.undo();
  if (!done) return say("There is nothing to undo.");
  if (typeof done === "string") return say(`Undone: ${done}.`);
  const [id] = done;
  return say(done.length === 1 ? `Undone: ${nameOf(id)} is ${format(table.get(id), engine.get(id))} again.` : `Undone: ${done.length} settings are back.`);
}
$("undo").onclick = undo;

function reset() {
  const usual = engine.modes.find(({ name }) => name === engine.mode)?.defaults;
  history.set({ ...Object.fromEntries(engine.parameters.map((each) => [each.id, each.default])), ...usual, ...START }, "preset");
  say("All is as it was at first.", ["Undo", undo]);
}

// The picture

const stems = engine.stems.map((name) => ({ id: name, ...looks(name) }));
const spectrogram = new Spectrogram($("spectrogram"), stems, engine.stems.indexOf("melody"));
const roll = engine.about.pitches.length ? [new Option("Keys of the piano", "notes")] : [];
$("shown").append(new Option("Who is who", "who"), new Option("Input", "input"), ...roll, ...stems.map(({ name }, s) => new Option(`Only ${name}`, s)));
$("legend").append(...stems.map(({ letter, name, color, about }) => {
  const badge = make("b", { className: "badge" }, letter);
  badge.style.setProperty("--c", color);
  return make("li", { title: about ?? name }, badge, name);
}));
function showPicture() {
  const { value } = $("shown");
  choices.range = Number($("range").value);
  spectrogram.show(/^\d$/.test(value) ? Number(value) : value, choices.range);
  $("legend").hidden = value !== "who";
  keepSession();
}
$("range").value = String(choices.range);
spectrogram.range = choices.range;
for (const id of ["shown", "range"]) $(id).onchange = showPicture;
spectrogram.paged = still.matches;
still.onchange = () => {
  spectrogram.paged = still.matches;
  spectrogram.dirty = true;
};

$("spectrogram").onpointermove = (event) => {
  const { offsetX: x, offsetY: y } = event, found = spectrogram.at(x, y), hover = $("hover");
  const level = found.db === undefined ? "" : `${found.db === -Infinity ? "\u2212\u221e" : found.db.toFixed(0).replace("-", "\u2212")} dB`;
  const stem = found.stem === undefined ? null : stems[found.stem];
  const badge = stem && make("b", { className: "badge" }, stem.letter);
  badge?.style.setProperty("--c", stem.color);
  hover.replaceChildren(make("b", {}, found.name), ` ${found.cents > 0 ? "+" : found.cents < 0 ? "\u2212" : ""}${Math.abs(found.cents)}`,
    make("span", {}, `${found.hz.toFixed(0)} Hz`), make("span", {}, level), ...(stem ? [make("span", {}, badge, " ", stem.name)] : []));
  hover.hidden = false;
  const box = $("picture").getBoundingClientRect();
  hover.style.left = `${Math.min(Math.max(x + 14, 8), box.width - hover.offsetWidth - 8)}px`;
  hover.style.top = `${y > 60 ? y - 40 : y + 20}px`;
};
$("spectrogram").onpointerleave = () => ($("hover").hidden = true);

// The transport

const wave = new Waveform($("wave").firstElementChild, $("seek"), engine, (between) => {
  engine.loop = between;
  showTransport();
});

function showTransport() {
  const { playing, duration, name } = engine, live = name && duration === null;
  $("play").replaceChildren(icon(playing ? "pause" : "play"));
  $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  $("name").textContent = name || "Choose a song";
  $("seek").disabled = $("loop").disabled = $("sing").disabled = !duration;
  $("loop").setAttribute("aria-pressed", String(Boolean(engine.loop) || wave.start !== null));
  $("loop").textContent = wave.start !== null && !engine.loop ? "A-?" : "A-B";
  $("length").textContent = duration ? clock(duration) : "";
  document.body.classList.toggle("live", Boolean(live));
  document.body.classList.toggle("playing", Boolean(playing));
  document.title = name ? `${playing ? "\u25b6 " : ""}${name} - rtsep` : "rtsep: un-mix a song while it plays";
}

const karaoke = engine.remote || !table.has("melody.gain_db") ? null : new Karaoke($("lane"), $("karaoke"), {
  engine, history, say, fail, open: (source) => open(source), again: () => open(lastSource),
  changed: (on) => {
    document.body.classList.toggle("sings", on);
    if (on) $("karaoke").append($("key"));
    else $("sing").before($("key"));
    $("sing").setAttribute("aria-pressed", String(on));
    spectrogram.dirty = true;
    wake();
  },
});
$("sing").hidden = !karaoke;
$("sing").onclick = act(async () => {
  await karaoke.show(!karaoke.on);
  if (karaoke.on) say("Sing to the blue notes. Headphones, please: the microphone should hear you alone.");
});

let opening = false, warned = false, lastSource = null;

async function open(source, button, plays = true) {
  if (opening) return;
  opening = true;
  lastSource = source;
  document.body.classList.add("loading");
  button?.classList.add("fills");
  const words = button?.querySelector("span"), before = words?.textContent;
  if (words) {
    button.style.minWidth = `${button.offsetWidth}px`; // it keeps its place
    words.textContent = "Loading";
  }
  $("promise").textContent = "A small engine, then your song.";
  if (!button) say("Loading ...");
  try {
    await engine.open(source);
    if (plays) await engine.play();
    $("warns").replaceChildren();
    if (!button) say("");
    document.body.classList.remove("empty");
    spectrogram.clear();
    mixer.clear();
    wave.start = null;
    if (karaoke?.on) engine.song ? karaoke.begin() : await karaoke.show(false);
    slowSince = 0;
    if (source.kind === "microphone" || source.kind === "tab") {
      if (source.kind === "microphone" && !warned) say("Headphones, or it may howl.", ["I wear headphones", () => (warned = true)]);
    } else hint();
  } catch (error) {
    console.error(error);
    fail(error.message);
  } finally {
    opening = false;
    document.body.classList.remove("loading");
    button?.classList.remove("fills");
    if (words) words.textContent = before;
    $("promise").textContent = "Your sound stays on this device.";
    showTransport();
    wake();
  }
}

/** The whole of the introduction: once, the drums' fader says what it is for. */
function hint() {
  const strip = mixer.strips[0];
  if (choices.hinted || !strip) return;
  choices.hinted = true;
  keepSession();
  const { clientWidth, clientHeight } = strip.input;
  const bubble = make("p", { className: "bubble" }, clientHeight > clientWidth ? "pull this down" : "pull this left");
  strip.box.querySelector(".track").append(bubble);
  strip.box.classList.add("hint");
  const end = () => {
    bubble.remove();
    strip.box.classList.remove("hint");
    engine.removeEventListener("change", end);
  };
  engine.addEventListener("change", end);
  setTimeout(end, HINT_MS);
}

const fileSource = (file) => ({ kind: "file", file, name: file.name });
const song = () => ({ kind: "song", ...engine.songs[0] });
const toggle = act(async () => {
  if (!engine.name) return open(song(), document.body.classList.contains("empty") ? $("demo") : undefined);
  if (engine.playing) engine.pause();
  else await engine.play();
  showTransport();
  return wake();
});
$("play").onclick = toggle;
$("demo").onclick = () => open(song(), $("demo"));
$("choose").onclick = () => $("file").click();
$("use-mic").onclick = () => open({ kind: "microphone" }, $("use-mic"));
$("mic").onclick = () => open({ kind: "microphone" });
$("file").onchange = ({ target }) => {
  const [file] = target.files;
  if (file) open(fileSource(file), document.body.classList.contains("empty") ? $("choose") : undefined);
  target.value = "";
};
$("loop").onclick = () => {
  say(wave.mark());
  showTransport();
};

const sources = [
  ...engine.songs.map((each) => ["play", each.name, () => open({ kind: "song", ...each })]),
  ["file", "Open a song ...", () => $("file").click()],
  ["mic", "Use my microphone", () => open({ kind: "microphone" })],
];
if (navigator.mediaDevices?.getDisplayMedia) sources.push(["tab", "Hear another tab", () => open({ kind: "tab" })]);
$("sources").append(...sources.map(([sign, text, go]) => {
  const button = make("button", { type: "button", className: "pick" }, icon(sign), text[0].toUpperCase() + text.slice(1));
  button.onclick = () => {
    $("source").open = false;
    go();
  };
  return button;
}));

const keyId = "key.semitones";
if (table.has(keyId)) {
  $("key").hidden = false;
  const { low, high, step } = table.get(keyId), showKey = () => {
    const value = engine.get(keyId);
    $("key-told").textContent = `Key ${value > 0 ? "+" : ""}${value}`.replace("-", "\u2212");
  };
  for (const button of $("key").querySelectorAll("button"))
    button.onclick = () => history.set({ [keyId]: Math.min(Math.max(engine.get(keyId) + Number(button.dataset.step) * (step || 1), low), high) });
  engine.addEventListener("change", ({ detail }) => detail.id === keyId && showKey());
  showKey();
}

engine.addEventListener("ended", () => {
  if (engine.duration !== null && engine.playing) engine.pause();
  showTransport();
});
engine.addEventListener("error", ({ detail }) => fail(detail.message, ["Load anew", () => location.reload()]));

$("record").onclick = act(async () => {
  const on = $("record").getAttribute("aria-pressed") !== "true";
  if (on && !engine.name) return say("Play something first, then record it.");
  $("record").setAttribute("aria-pressed", String(on));
  const made = await engine.record(on);
  if (on) return say("Recording what you hear. Press again to end and keep it.");
  if (!made?.channels[0]?.length) return say("Nothing was recorded.");
  download(wav(made.channels, made.sampleRate), `${(engine.name || "rtsep").replace(/\.\w{2,4}$/, "")} - recording.wav`);
  return say("The recording is among your downloads.");
});

// Drag and drop: the whole page takes a song, or a preset.

let over = 0;
addEventListener("dragenter", (event) => event.dataTransfer?.types.includes("Files") && document.body.classList.toggle("dropping", ++over > 0));
addEventListener("dragleave", () => over && document.body.classList.toggle("dropping", --over > 0));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  over = 0;
  document.body.classList.remove("dropping");
  const [file] = event.dataTransfer.files;
  if (/\.toml$/i.test(file?.name)) readPreset(file);
  else if (file && karaoke?.on && engine.playing) for (const each of event.dataTransfer.files) karaoke.add(fileSource(each));
  else if (file) open(fileSource(file), document.body.classList.contains("empty") ? $("choose") : undefined);
});

// Settings, modes, help

const setMode = act(async (name) => {
  await engine.setMode(name);
  showModes();
  keepSession();
  const { engine_ms } = engine.latency;
  say(`${name[0].toUpperCase() + name.slice(1)}: ${engine_ms.toFixed(1)} ms in the engine.`);
});
const setBuffer = act(async (buffer) => {
  choices.buffer = buffer;
  keepSession();
  if (karaoke?.on) await karaoke.show(false);
  await engine.setBuffer(buffer);
  drawer.buffer.value = buffer;
  showTransport();
  showStatus();
  say(`From input to ear it takes ${Object.values(engine.latency).reduce((sum, each) => sum + each).toFixed(0)} ms now.`);
});
/** Take another kit of templates, which brings other stems: the page is loaded anew, and the song is open again. */
const setKit = act(async (kit) => {
  choices.kit = kit;
  await store.putSource(lastSource);
  keepSession();
  saveSession();
  location.reload();
});
const modes = modeChooser(engine, setMode, "mode");
$("modes").append(modes.box);

function toggleDrawer(on = $("drawer").hidden) {
  $("drawer").hidden = !on;
  document.body.classList.toggle("drawer-open", on);
  $("settings").setAttribute("aria-expanded", String(on));
  if (on) $("drawer").querySelector("button").focus();
  else $("settings").focus();
}
$("settings").onclick = () => toggleDrawer();

const drawer = new Drawer($("drawer"), {
  engine, history, mixer, midi, looks, say, fail, act, open, setMode, setBuffer, setKit, learn, forget, nameOf, reset, toggleDrawer,
  groups: choices.groups,
  showGroups: (on) => {
    choices.groups = on;
    mixer.build(on);
    showControls();
    keepSession();
  },
});
function showModes() {
  modes.show();
  drawer.modes.show();
  showStatus();
}
$("midi").onclick = act(async () => {
  drawer.midiPart.open = true;
  toggleDrawer(true);
  drawer.midiPart.scrollIntoView({ block: "nearest" });
  await midi.open();
});

$("help").append(
  make("div", { className: "bar" }, make("h2", { id: "help-title" }, "Keys and help"), (() => {
    const close = make("button", { className: "icon", type: "button" }, icon("close"));
    close.setAttribute("aria-label", "Close help");
    close.onclick = () => $("help").close();
    return close;
  })()),
  make("p", {}, "Play a song. Pull a fader down and that part goes away. Push it up and it comes forward. M silences a part; S plays it alone."),
  make("p", {}, "Double-click a fader to type its level. Drag on the waveform with Shift held to repeat a part."),
  make("dl", {}, ...KEYS.flatMap(([keys, what]) => [make("dt", {}, keys), make("dd", {}, what)])),
);
$("help-button").onclick = () => $("help").showModal();

// A click elsewhere, or Escape, closes a menu.
addEventListener("pointerdown", ({ target }) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
});

// What happens forty times a second

// On a few cores the engine needs what smoother pictures would take.
let pace = 16, fps = (navigator.hardwareConcurrency ?? 8) <= FEW_CORES ? FEWER_FPS : FPS, tickedAt = 0;
let frame = null, heardAt = 0, slowSince = 0, offered = false, drawnAt = 0, statusAt = 0, running = false;

engine.addEventListener("frame", ({ detail }) => {
  frame = detail;
  heardAt = performance.now();
  const gains = mixer.gains();
  mixer.see(detail, gains, heardAt);
  if (engine.playing) spectrogram.add(detail.bands, gains, detail.f0, detail.confidence, detail.notes);
  watchLoad(detail.load);
  wake();
});

/** After two seconds short of time: offer what takes less. */
function watchLoad(load) {
  if (load <= TOO_SLOW) {
    slowSince = 0;
    return;
  }
  slowSince ||= heardAt;
  if (heardAt - slowSince < TOO_SLOW_MS || offered) return;
  offered = true;
  let sentence = `This device is short of time: ${Math.round(100 * load)} % load.`;
  const masks = table.get("masks"), classic = masks?.choices.indexOf("classic") ?? -1, ways = [];
  if (classic >= 0 && engine.get("masks") !== classic) {
    sentence += " The classic masks take a third of the time, and un-mix less cleanly.";
    ways.push(["Use the classic masks", () => {
      history.set({ masks: classic });
      offered = false;
      say("The classic masks are on. Undo brings the others back.", ["Undo", undo]);
    }]);
  }
  if (!engine.remote && choices.buffer !== "playback") {
    sentence += " A larger buffer bears a busy machine, and is heard later.";
    ways.push(["Take the largest buffer", () => {
      offered = false;
      setBuffer("playback");
    }]);
  }
  fail(ways.length ? sentence : `${sentence} Close other tabs and programs.`, ...ways);
}

function showStatus() {
  const { engine_ms, base_ms, output_ms } = engine.latency, device = base_ms + output_ms;
  $("latency").textContent = device
    ? `${engine_ms.toFixed(1)} ms + device ${device.toFixed(0)} ms = ${(engine_ms + device).toFixed(0)} ms` : `${engine_ms.toFixed(1)} ms + device`;
  $("latency").title = `From input to ear: engine ${engine_ms.toFixed(1)} ms, browser ${base_ms.toFixed(1)} ms, device ${output_ms ? `${output_ms.toFixed(1)} ms` : "not told"}`;
  $("load").hidden = !frame;
  if (!frame) return;
  const load = Math.round(100 * frame.load);
  $("load").lastElementChild.textContent = `load ${load} %`;
  $("load").style.setProperty("--at", Math.min(frame.load, 1));
  $("load").classList.toggle("high", frame.load > TOO_SLOW);
  $("late").hidden = !frame.late;
  $("late").textContent = `${frame.late} late`;
  $("late").title = "Blocks that were not ready in time";
}

// The colours of the theme, as canvases need them.
let style = {};
function readStyle() {
  const computed = getComputedStyle(document.documentElement);
  style = Object.fromEntries(["text", "second", "line", "accent", "soft", "ground", "bad", "well", "panel"].map((name) => [name, computed.getPropertyValue(`--${name}`).trim()]));
}
readStyle();
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => {
  readStyle();
  wave.shown = "";
  drawShape();
  wake();
});

function wake() {
  if (running) return;
  running = true;
  tickedAt = performance.now();
  requestAnimationFrame(tick);
}

/** Draws while there is something to draw, and rests otherwise: an idle page costs nothing. */
function tick(now) {
  const resting = now - heardAt > 3000 && !engine.playing;
  // Pictures are the first to wait where time is short.
  pace += 0.02 * (Math.min(now - tickedAt, 60) - pace);
  tickedAt = now;
  if (pace > PACE_MS) fps = FEWER_FPS;
  if (now - drawnAt >= 1000 / (frame?.load > TOO_SLOW ? SLOW_FPS : fps) - 4) {
    drawnAt = now;
    if (now - heardAt > 150) for (const strip of mixer.strips) strip.see(-Infinity, now);
    mixer.draw(style);
    if (karaoke?.on) karaoke.draw(style);
    else spectrogram.draw();
    wave.draw(style);
    const time = clock(engine.position ?? 0);
    if ($("time").textContent !== time) $("time").textContent = time;
    if (now - statusAt > 250) {
      statusAt = now;
      showStatus();
      mixer.tell();
    }
  }
  if (resting) running = false;
  else requestAnimationFrame(tick);
}
addEventListener("resize", () => {
  drawShape();
  spectrogram.dirty = true;
  wake();
});
$("seek").addEventListener("input", wake);

// The shape of the demo song before anything sounds; it is in the browser's cache then, and starts at once.

let shape = null;

function drawShape() {
  if (!document.body.classList.contains("empty")) return;
  const { pen, width, height } = fresh($("shape"));
  if (shape) drawBars(pen, shape, width, height, () => style.line, 5);
}

async function loadShape() {
  if (!engine.songs.length) return;
  const content = await (await fetch(engine.songs[0].url)).arrayBuffer();
  const sound = (await new OfflineAudioContext(1, 1, 22050).decodeAudioData(content)).getChannelData(0), count = 600;
  shape = new Float32Array(count);
  for (let p = 0; p < count; p++) {
    const end = Math.floor(((p + 1) * sound.length) / count);
    for (let i = Math.floor((p * sound.length) / count); i < end; i += 2) shape[p] = Math.max(shape[p], Math.abs(sound[i]));
  }
  drawShape();
}

// Keys, as in the terminal

function press(event) {
  const { key, target } = event, lower = key.toLowerCase(), strip = mixer.chosen;
  if ((event.ctrlKey || event.metaKey) && lower === "z" && !target.matches?.("input[type=text]")) {
    undo();
    return true;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches?.("select, input[type=text]") || $("help").open) return false;
  if (key === "Escape") {
    const menu = document.querySelector("details.menu[open]");
    if (midi.cancel()) say("Nothing was learned.");
    else if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    } else if (!$("drawer").hidden) toggleDrawer(false);
    else for (const place of ["says", "warns"]) $(place).replaceChildren();
    return true;
  }
  if (key === " ") {
    if (target.matches?.("button, summary, input[type=checkbox], input[type=radio]")) return false;
    toggle();
    return true;
  }
  if (/^[1-9]$/.test(key)) {
    mixer.strips[key - 1]?.input.focus();
    return true;
  }
  const seeking = target === $("seek") || target.closest?.("#drawer, details.menu") || target.type === "radio";
  if (!seeking && (key === "ArrowLeft" || key === "ArrowRight")) {
    const { strips } = mixer, at = strips.indexOf(strip) + (key === "ArrowRight" ? 1 : -1);
    strips[(at + strips.length) % strips.length].input.focus();
    return true;
  }
  if (!seeking && target === document.body && ["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"].includes(key)) {
    strip.input.focus();
    strip.input.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
    return true;
  }
  const ids = [...table.keys()].filter((id) => id.startsWith(`${strip.prefix}.`));
  const keys = {
    m: () => strip.mute && mixer.toggle(strip.mute),
    s: () => (strip.solo ? mixer.toggle(strip.solo) : say(`${strip.look.name} has no solo.`)),
    b: () => table.has("bypass") && mixer.toggle("bypass"),
    u: undo,
    p: () => nextPreset(event.shiftKey ? -1 : 1),
    l: () => (midi.cancel() ? say("Nothing was learned.") : learn(event.shiftKey && strip.mute ? strip.mute : strip.gain)),
    f: () => forget(ids, strip.look.name),
    c: () => mixer.clear(),
    a: () => engine.duration && $("loop").click(),
    "?": () => $("help").showModal(),
  };
  if (!keys[lower]) return false;
  keys[lower]();
  return true;
}
addEventListener("keydown", (event) => press(event) && event.preventDefault());

showTransport();
showStatus();
showControls();
mixer.draw(style);
act(loadShape)();
if (!engine.remote) store.takeSource().then((source) => source && open(source, undefined, false));

if (engine.remote) {
  document.body.classList.replace("empty", "remote");
  engine.addEventListener("state", () => {
    if (engine.name && !engine.playing) spectrogram.dirty = true;
    document.body.classList.toggle("songs", engine.duration !== null);
    if (engine.state.gone) show($("warns"), "The sound device has gone. It is looked for until it is back.", []);
    else $("warns").replaceChildren();
    showTransport();
    wake();
  });
  engine.addEventListener("gone", ({ detail }) => {
    document.body.classList.add("gone");
    showTransport();
    show($("warns"), detail.known ? "Looking for the engine ..." : "The engine lets nobody in without the whole address that rtsep live has told.", []);
  });
  engine.addEventListener("back", () => {
    document.body.classList.remove("gone");
    $("warns").replaceChildren();
  });
} else if ("serviceWorker" in navigator && isSecureContext) {
  navigator.serviceWorker.register("sw.js").then(() => navigator.serviceWorker.controller?.postMessage({ kit: engine.kit })).catch(() => {});
}
