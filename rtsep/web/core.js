// The engine: the WebAssembly library with one state. The worklet and the renderer run it in the same way.

export const BLOCK = 128; // samples, as an AudioWorklet gives them
const PAGE = 65536;
const STACK = 8 * PAGE; // bytes from address 0: the library's data, and above them its stack, which grows downwards
export const BANDS = 96;
const LOWEST_HZ = 40, HIGHEST_HZ = 16000;

// What the library takes from the C library. Its numbers are of single precision, these are better.
const MATHEMATICS = {
  expf: Math.exp, exp2f: (x) => 2 ** x, logf: Math.log, sinf: Math.sin, cosf: Math.cos, atan2f: Math.atan2,
  sqrtf: Math.sqrt, floorf: Math.floor, ceilf: Math.ceil,
};

export class Core {
  /** `code` is the library (bytes), `image` a prepared state (bytes), `info` what parameters.json tells of both. */
  constructor(code, image, info) {
    this.info = info;
    const { channels, stems } = info;
    const align = (at) => (at + 63) & ~63;
    this.state = STACK;
    const input = align(this.state + image.byteLength);
    const output = align(input + 4 * BLOCK * channels);
    const parts = align(output + 4 * BLOCK * channels);
    const levels = align(parts + 4 * stems * (BLOCK + 1) * channels);
    const memory = new WebAssembly.Memory({ initial: Math.ceil((levels + 4 * (4 + stems)) / PAGE) });
    const stack = new WebAssembly.Global({ value: "i32", mutable: true }, STACK);
    const env = { __linear_memory: memory, __stack_pointer: stack, ...MATHEMATICS };
    this.call = new WebAssembly.Instance(new WebAssembly.Module(code), { env }).exports;
    new Uint8Array(memory.buffer).set(new Uint8Array(image), this.state);
    this.call.rtsep_create(this.state);
    this.memory = memory;
    this.array("transposing", 1, BigInt64Array)[0] = BigInt(Boolean(info.transposing));
    const voice = info.sings ? input : 0; // what is heard is a singer's microphone too
    this.places = [this.state, input, voice, output, parts, BigInt(BLOCK)];
    this.input = new Float32Array(memory.buffer, input, BLOCK * channels);
    this.output = new Float32Array(memory.buffer, output, BLOCK * channels);
    this.parts = new Float32Array(memory.buffer, parts, stems * (BLOCK + 1) * channels);
    this.levels = new Float32Array(memory.buffer, levels, 4 + stems);
    this.masks = this.array("masks", (stems - 1) * info.bins);
    this.magnitude = this.array("magnitude", info.bins);
    this.edges = edges(info.bins, info.bin_hz);
    this.noteBands = (info.pitches ?? []).map(bandOf);
    this.activations = this.array("nmf.activations", this.noteBands.length);
  }

  /** An array of the state, by its name. */
  array(name, length, Kind = Float32Array) {
    const address = new DataView(this.memory.buffer).getBigInt64(this.state + 8 * this.info.words[name], true);
    return new Kind(this.memory.buffer, Number(address), length);
  }

  /** Set the parameter of that number to a value as the kernels see it: a gain is linear. */
  set(number, value) {
    this.call.rtsep_set(this.state, BigInt(number), value);
  }

  /** Un-mix `input` into `output` and `parts`. */
  process() {
    this.call.rtsep_process(...this.places);
  }

  /** Levels of input and output, F0 in Hz, its confidence, and the levels of the stems: linear, as peaks. */
  measure() {
    this.call.rtsep_meters(this.state, this.levels.byteOffset);
    return this.levels;
  }

  /** The power of each stem in each band of the last frame, (stems x BANDS): 1 for a sine of full scale. */
  bands() {
    const { stems, bins, full_scale } = this.info, power = new Float32Array(stems * BANDS);
    for (let b = 0; b < BANDS; b++) {
      for (let k = this.edges[b]; k < Math.max(this.edges[b + 1], this.edges[b] + 1); k++) {
        const level = (this.magnitude[k] / full_scale) ** 2;
        let rest = 1;
        for (let s = 0; s < stems - 1; s++) {
          const mask = this.masks[s * bins + k];
          rest -= mask;
          power[s * BANDS + b] += level * mask * mask;
        }
        power[(stems - 1) * BANDS + b] += level * rest * rest;
      }
    }
    return power;
  }

  /** How strong the templates of pitches sound, in each band; nothing without such. */
  notes() {
    const { full_scale } = this.info, power = new Float32Array(this.noteBands.length && BANDS);
    this.noteBands.forEach((band, i) => (power[band] = Math.max(power[band], (this.activations[i] / full_scale) ** 2)));
    return power;
  }
}

/** The band in which a pitch lies. */
function bandOf(pitch) {
  const octaves = Math.log2((440 * 2 ** ((pitch - 69) / 12)) / LOWEST_HZ);
  return Math.min(Math.max(Math.floor((BANDS * octaves) / Math.log2(HIGHEST_HZ / LOWEST_HZ)), 0), BANDS - 1);
}

/** The first bin of each of BANDS bands that lie evenly in octaves, and where the last ends. */
function edges(bins, binHz) {
  const ratio = HIGHEST_HZ / LOWEST_HZ;
  return Int32Array.from({ length: BANDS + 1 }, (_, b) =>
    Math.min(Math.round((LOWEST_HZ * ratio ** (b / BANDS)) / binHz), bins - 1));
}
