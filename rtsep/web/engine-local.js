// The engine in this browser: what the page shows and moves, in front of the worklet.

import { BLOCK } from "./core.js";
import { decibels, held } from "./fader.js";

const FADE_S = 0.03; // from one engine to the next when the mode changes
const PEAKS = 2000; // in the overview of a song
const KEY = "key.semitones"; // while it is 0 nothing waits for the change of key
const SUNG = /^(microphone\.|limiter|output\.mute$)/; // what the singer's own engine obeys
const RATES = [44100, 48000]; // for which there are images; any other device is resampled by the browser

export default class LocalEngine extends EventTarget {
  /** Get ready, with a `kit` of templates or none. Nothing sounds and nobody is asked for anything yet. */
  static async load({ base = new URL(".", import.meta.url).href, kit = "" } = {}) {
    const engine = new LocalEngine();
    engine.base = base;
    engine.plain = await (await fetched(base + "parameters.json")).json();
    engine.kit = engine.plain.kits.some(({ name }) => name === kit) ? kit : "";
    engine.about = { ...engine.plain, ...(engine.kit ? await (await fetched(`${base}${kit}.json`)).json() : {}) };
    engine.parameters = engine.about.parameters;
    engine.values = {};
    engine.buffer = "interactive";
    engine.useDefaults("balanced");
    return engine;
  }

  get stems() { return this.about.stems; }
  get groups() { return this.about.groups; }
  get kits() { return this.about.kits; }
  get modes() { return this.about.modes; }
  get presets() { return this.about.presets; }
  get songs() { return this.about.songs.map(({ name, file }) => ({ name, url: this.base + file })); }

  // Parameters

  get(id) { return this.values[id]; }

  set(id, value) {
    const parameter = this.parameters.find((each) => each.id === id);
    if (!parameter) throw new Error(`There is no parameter ${id}.`);
    const taken = held(parameter, value);
    if (taken === this.values[id]) return;
    this.values[id] = taken;
    const set = [parameter.number, this.target(parameter)];
    this.node?.port.postMessage({ set });
    if (SUNG.test(id)) this.singer?.node.port.postMessage({ set });
    this.tell("change", { id, value: taken });
    if (id === KEY && taken && this.node && !this.info.transposing)
      this.connect(this.channels).catch(({ message }) => this.tell("error", { message }));
  }

  /** The value of a parameter as the kernels see it. */
  target({ id, unit }) {
    return unit === "dB" ? 10 ** (this.values[id] / 20) : this.values[id];
  }

  targets(wanted = () => true) {
    return this.parameters.filter(wanted).map((parameter) => [parameter.number, this.target(parameter)]);
  }

  /** Where a mode starts; what was moved by hand stays. */
  useDefaults(mode) {
    const before = this.mode ? this.modes.find(({ name }) => name === this.mode).defaults : {};
    const after = this.modes.find(({ name }) => name === mode).defaults;
    for (const { id, default: usual } of this.parameters) {
      const untouched = !(id in this.values) || this.values[id] === (before[id] ?? usual);
      if (!untouched || this.values[id] === (after[id] ?? usual)) continue;
      this.values[id] = after[id] ?? usual;
      this.tell("change", { id, value: this.values[id] });
    }
    this.mode = mode;
  }

  // The sound

  /** Open a song, a file, the microphone or another tab; what sounded before ends. */
  async open(source) {
    await this.start();
    this.close();
    this.source = source;
    if (source.kind === "song" || source.kind === "file") {
      this.name = source.name ?? source.file.name;
      const content = source.kind === "file" ? source.file : await fetched(source.url);
      try {
        this.song = await this.context.decodeAudioData(await content.arrayBuffer());
      } catch {
        throw new Error(`This browser cannot read ${this.name}. Try MP3, WAV or FLAC.`);
      }
      this.offset = 0;
      this.peaks = peaksOf(this.song);
      await this.connect(Math.min(this.song.numberOfChannels, 2));
    } else {
      this.stream = await heard(source);
      this.name = source.kind === "tab" ? "another tab" : "microphone";
      this.stream.getAudioTracks()[0].onended = () => this.tell("ended");
      this.feed = this.context.createMediaStreamSource(this.stream);
      await this.connect(Math.min(this.feed.channelCount, 2));
      this.feed.connect(this.node);
    }
  }

  /** Let it sound. The first time it must come from a click, or the browser stays silent. */
  async play() {
    await this.start();
    await this.context.resume();
    if (this.song && !this.feed) {
      const feed = new AudioBufferSourceNode(this.context, { buffer: this.song });
      this.feed = feed;
      this.applyLoop();
      feed.onended = () => {
        if (this.feed !== feed) return; // stopped by hand
        this.feed = null;
        this.offset = 0;
        this.tell("ended");
      };
      this.begun = this.context.currentTime - this.offset;
      feed.connect(this.node);
      feed.start(0, this.offset);
    }
    this.playing = true;
  }

  pause() {
    if (this.song) {
      this.offset = this.position;
      this.stopFeed();
    } else {
      this.context?.suspend();
    }
    this.playing = false;
  }

  seek(seconds) {
    if (!this.song) return;
    const playing = this.playing;
    this.stopFeed();
    this.offset = Math.min(Math.max(seconds, 0), this.song.duration);
    if (playing) this.play();
  }

  get duration() { return this.song?.duration ?? null; }

  get position() {
    if (!this.song) return this.context?.currentTime ?? 0;
    if (!this.feed) return this.offset;
    const at = this.context.currentTime - this.begun;
    const [start, end] = this.looped ?? [0, Infinity];
    return at < end ? Math.min(at, this.song.duration) : start + ((at - start) % (end - start));
  }

  get loop() { return this.looped ?? null; }

  set loop(between) {
    const at = this.position;
    this.looped = between;
    if (this.feed && this.song) {
      this.begun = this.context.currentTime - at;
      this.applyLoop();
    }
  }

  applyLoop() {
    this.feed.loop = Boolean(this.looped);
    if (this.looped) [this.feed.loopStart, this.feed.loopEnd] = this.looped;
  }

  /** Change the mode while it sounds: the new engine fades in as the old one fades out. */
  async setMode(mode) {
    if (!this.modes.some(({ name }) => name === mode)) throw new Error(`There is no mode ${mode}.`);
    this.useDefaults(mode);
    if (!this.node) return;
    await this.connect(this.channels);
  }

  /** Milliseconds from the input to the ear: of the engine, of the browser, of the device; as far as they are told. */
  get latency() {
    const samples = this.info?.latency ?? this.modes.find(({ name }) => name === this.mode).latency;
    const { baseLatency = 0, outputLatency = 0, sampleRate = 48000 } = this.context ?? {};
    return { engine_ms: (1000 * samples) / sampleRate, base_ms: 1000 * baseLatency, output_ms: 1000 * outputLatency };
  }

  get canChooseOutput() { return "setSinkId" in AudioContext.prototype; }

  async outputs() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind }) => kind === "audiooutput").map(({ deviceId, label }) => ({ id: deviceId, label }));
  }

  async setOutput(id) {
    await this.start();
    await this.context.setSinkId(id);
  }

  /** How much the browser holds ready: "interactive" is the least, then "balanced" and "playback". */
  async setBuffer(buffer) {
    this.buffer = buffer;
    if (!this.context) return;
    const { source, playing, position } = this;
    await this.hearSinger(false);
    this.close();
    this.context.close(); // some browsers never tell that it is closed
    this.context = this.node = this.gain = null;
    if (!source) return;
    await this.open(source);
    this.seek(position);
    if (playing) await this.play();
  }

  /** Begin to record what is heard, or end it and get it: { sampleRate, channels }. */
  async record(on) {
    if (on) this.recorded = [];
    this.node?.port.postMessage({ record: on });
    if (on || !this.recorded) return undefined;
    await new Promise((done) => setTimeout(done, 100)); // the last blocks are under way
    const blocks = this.recorded, { channels } = this.info;
    this.recorded = null;
    const sound = Array.from({ length: channels }, () => new Float32Array(blocks.length * BLOCK));
    blocks.forEach((block, b) => {
      for (let c = 0; c < channels; c++)
        for (let i = 0; i < BLOCK; i++) sound[c][b * BLOCK + i] = block[i * channels + c];
    });
    return { sampleRate: this.context.sampleRate, channels: sound };
  }

  /** The open song through the engine as it is set: { sampleRate, mix, stems }, each as a list of channels. */
  async render(onProgress = () => {}) {
    if (!this.song) throw new Error("Open a song first: what comes from a microphone can be recorded.");
    const sound = Array.from({ length: this.info.channels }, (_, c) => this.song.getChannelData(c));
    const worker = new Worker(new URL("renderer.js", this.base), { type: "module" });
    try {
      const made = await new Promise((done, failed) => {
        worker.onerror = (error) => failed(new Error(error.message));
        worker.onmessage = ({ data }) => (data.made ? done(data.made) : onProgress(data.progress));
        worker.postMessage({ code: this.code, image: this.image, info: this.info, values: this.targets(), sound });
      });
      onProgress(1);
      const stems = Object.fromEntries(this.stems.map((stem, s) => [stem, made[1 + s]]));
      return { sampleRate: this.context.sampleRate, mix: made[0], stems };
    } finally {
      worker.terminate();
    }
  }

  // A singer beside the song

  /** The melody of the whole song, ahead of its sound: `heard(first, hz)` gets it piece by piece, a value each STEP_S. */
  follow(heard) {
    const sound = Array.from({ length: this.info.channels }, (_, c) => this.song.getChannelData(c));
    const worker = new Worker(new URL("follower.js", this.base), { type: "module" });
    worker.onmessage = ({ data }) => (data.done ? worker.terminate() : heard(data.first, data.hz));
    worker.postMessage({ code: this.code, image: this.image, info: this.info, values: this.targets(), sound });
    return () => worker.terminate();
  }

  /** Hear a singer at the microphone from now on, or no more: each "sung" tells { at, hz, level }, `at` in the song. */
  async hearSinger(on) {
    this.singer?.stream.getTracks().forEach((track) => track.stop());
    for (const part of ["feed", "node"]) this.singer?.[part].disconnect();
    this.singer?.node.port.postMessage({ end: true });
    this.singer = null;
    if (!on) return;
    await this.start();
    const { context } = this, stream = await heard({ kind: "microphone" });
    // An engine of its own follows the singer, whose stems are silent: what is heard is the microphone alone.
    const { images, parameters, stems, words } = this.plain;
    const info = images.find((image) => image.mode === "live" && image.sample_rate === context.sampleRate && image.channels === 1);
    const silent = parameters.filter(({ id }) => id === "masks" || stems.some((stem) => id === `${stem}.gain_db`));
    const node = new AudioWorkletNode(context, "rtsep", {
      outputChannelCount: [1],
      processorOptions: {
        code: this.code, image: await this.file(info.file), info: { ...info, stems: stems.length, words, sings: true },
        values: [...this.targets(({ id }) => SUNG.test(id)), ...silent.map(({ number }) => [number, 0])],
      },
    });
    const feed = context.createMediaStreamSource(stream);
    feed.connect(node).connect(context.destination);
    node.port.onmessage = ({ data: { levels, at } }) => {
      // What was sung then was sung to what was heard then.
      const ago = context.currentTime - at + info.melody_late_s, { engine_ms, base_ms, output_ms } = this.latency;
      const echo = (engine_ms + base_ms + output_ms) / 1000 + (stream.getAudioTracks()[0]?.getSettings().latency ?? 0);
      if (this.song && this.playing) this.tell("sung", { at: this.position - ago - echo, hz: levels[2], level: decibels(levels[0]) });
    };
    this.singer = { stream, feed, node };
  }

  // What is behind it

  /** The audio context, at a rate for which there are images. */
  async start() {
    if (this.context) return;
    if (!("audioWorklet" in AudioContext.prototype))
      throw new Error("This browser has no audio worklets, or the page does not come over https: rtsep needs both.");
    const latencyHint = this.buffer;
    this.context = new AudioContext({ latencyHint });
    if (!RATES.includes(this.context.sampleRate)) {
      await this.context.close();
      this.context = new AudioContext({ latencyHint, sampleRate: 48000 });
    }
    await this.context.audioWorklet.addModule(new URL("worklet.js", this.base));
    this.code ??= await this.file("engine.bin");
  }

  /** A node with an engine of the mode in use, in the place of the one before. */
  async connect(channels) {
    const { mode, context } = this;
    const info = this.about.images.find((image) =>
      image.mode === mode && image.sample_rate === context.sampleRate && image.channels === channels);
    const image = await this.file(info.file);
    if (mode !== this.mode) return; // changed again meanwhile
    const transposing = Boolean(this.values[KEY]), latency = info.latency + (transposing ? info.key_latency : 0);
    this.info = { ...info, transposing, latency, stem_latency: info.latency, stems: this.stems.length, words: this.about.words, pitches: this.about.pitches };
    [this.image, this.channels] = [image, channels];
    const node = new AudioWorkletNode(context, "rtsep", {
      outputChannelCount: [channels],
      processorOptions: { code: this.code, image, info: this.info, values: this.targets() },
    });
    node.onprocessorerror = () => this.tell("error", { message: "The engine has stopped. Reload the page." });
    node.port.onmessage = ({ data }) => this.hear(data);
    const gain = new GainNode(context, { gain: 0 });
    gain.gain.setTargetAtTime(1, context.currentTime, FADE_S);
    node.connect(gain).connect(context.destination);
    this.feed?.connect(node);
    const before = [this.node, this.gain];
    [this.node, this.gain] = [node, gain];
    if (this.recorded) node.port.postMessage({ record: true });
    if (before[0]) retire(...before, context);
  }

  hear({ levels, bands, notes, load, late, recorded }) {
    if (recorded) {
      this.recorded?.push(...recorded);
      return;
    }
    this.load = this.load === undefined ? load : this.load + 0.05 * (load - this.load); // of about half a second
    const stems = levels.slice(4).map(decibels);
    this.tell("frame", {
      input: decibels(levels[0]), output: decibels(levels[1]), f0: levels[2], confidence: levels[3], stems, bands, notes,
      load: this.load, late, position: this.position,
    });
  }

  close() {
    this.stopFeed();
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = this.song = this.peaks = this.looped = null;
    this.playing = false;
  }

  stopFeed() {
    const feed = this.feed;
    this.feed = null;
    feed?.disconnect();
    feed?.stop?.();
  }

  /** A file of the folder, unpacked. */
  async file(name) {
    const packed = new Uint8Array(await (await fetched(this.base + name)).arrayBuffer());
    if (packed[0] !== 0x1f || packed[1] !== 0x8b) return packed.buffer; // the server has unpacked it
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}

function retire(node, gain, context) {
  gain.gain.cancelScheduledValues(context.currentTime);
  gain.gain.setTargetAtTime(0, context.currentTime, FADE_S);
  setTimeout(() => {
    node.port.postMessage({ end: true });
    node.disconnect();
    gain.disconnect();
  }, 8000 * FADE_S);
}

async function fetched(url) {
  const response = await fetch(url).catch(() => null);
  if (!response?.ok) throw new Error(`${url} cannot be loaded. Is the server still there?`);
  return response;
}

async function heard({ kind, deviceId }) {
  if (!navigator.mediaDevices)
    throw new Error("A page may hear only if it comes over https or from this very machine. Or drop a song.");
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    if (kind === "tab") {
      const stream = await navigator.mediaDevices.getDisplayMedia({ audio: plain, video: true });
      if (!stream.getAudioTracks().length) throw new Error("No sound was shared. Choose a tab, and tick its sound.");
      return stream;
    }
    const device = deviceId ? { deviceId: { exact: deviceId } } : {};
    return await navigator.mediaDevices.getUserMedia({ audio: { ...plain, ...device, channelCount: { ideal: 2 } } });
  } catch (error) {
    if (error.name === "NotAllowedError")
      throw new Error("The browser does not let this page hear. Allow the microphone in the address bar, or drop a song.");
    if (error.name === "NotFoundError") throw new Error("There is no microphone here. Plug one in, or drop a song.");
    throw error;
  }
}

/** The largest value in each of PEAKS pieces of a song. */
function peaksOf(song) {
  const peaks = new Float32Array(PEAKS), channels = Math.min(song.numberOfChannels, 2);
  for (let c = 0; c < channels; c++) {
    const sound = song.getChannelData(c);
    for (let p = 0; p < PEAKS; p++) {
      const end = Math.floor(((p + 1) * sound.length) / PEAKS);
      for (let i = Math.floor((p * sound.length) / PEAKS); i < end; i++) peaks[p] = Math.max(peaks[p], Math.abs(sound[i]));
    }
  }
  return peaks;
}
