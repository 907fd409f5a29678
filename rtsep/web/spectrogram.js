// What sounds, over time: brightness by level, colour by the stem that has most of it, the melody as a line.

import { BANDS } from "./core.js";

const LOWEST_HZ = 40, HIGHEST_HZ = 16000, FLOOR_DB = -72;
const AXIS = 44; // pixels for the names of the notes
const FRAMES = 420; // across the picture: ten seconds
const NOTES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
const MAGMA = ["#000004", "#1c1044", "#4f127b", "#812581", "#b5367a", "#e55064", "#fb8761", "#fec287", "#fcfdbf"].map(rgb);

export function noteName(hz) {
  const number = Math.round(69 + 12 * Math.log2(hz / 440));
  return `${NOTES[((number % 12) + 12) % 12]}${Math.floor(number / 12) - 1}`;
}

export function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

export class Spectrogram {
  /** On `canvas`, with a colour for each stem. */
  constructor(canvas, colours) {
    this.canvas = canvas;
    this.colours = colours.map(rgb);
    this.frames = [];
    this.pages = matchMedia("(prefers-reduced-motion: reduce)");
    this.column = new ImageData(1, BANDS);
    this.strip = new OffscreenCanvas(FRAMES, BANDS);
    this.shown = "mix";
  }

  /** Add one frame; it is drawn with the next picture. */
  add({ bands, f0, confidence }) {
    this.frames.push({ bands, f0: confidence > 0 ? f0 : 0 });
    if (this.frames.length > FRAMES) this.frames.splice(0, this.pages.matches ? FRAMES : 1);
    this.stale = true;
  }

  clear() {
    this.frames = [];
    this.stale = true;
  }

  show(what) {
    this.shown = what;
    this.stale = true;
  }

  draw() {
    if (!this.stale) return;
    this.stale = false;
    const { canvas } = this, ratio = devicePixelRatio;
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const pen = canvas.getContext("2d"), paper = this.strip.getContext("2d");
    paper.clearRect(0, 0, FRAMES, BANDS);
    const first = this.pages.matches ? 0 : FRAMES - this.frames.length;
    this.frames.forEach((frame, t) => {
      this.paint(frame.bands);
      paper.putImageData(this.column, first + t, 0);
    });
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, width, height);
    pen.imageSmoothingEnabled = true;
    const left = AXIS * ratio, step = (width - left) / FRAMES;
    pen.drawImage(this.strip, left, 0, width - left, height);
    this.drawAxis(pen, left, width, height, ratio);
    this.drawMelody(pen, left + first * step, step, height, ratio);
  }

  /** A frame as a column of colours, the highest band on top. */
  paint(bands) {
    const stems = this.colours.length, pixels = this.column.data, one = this.shown === "mix" ? -1 : this.shown;
    for (let b = 0; b < BANDS; b++) {
      let total = 0, most = 0;
      for (let s = 0; s < stems; s++) {
        const power = bands[s * BANDS + b];
        total += power;
        if (power > bands[most * BANDS + b]) most = s;
      }
      const power = one < 0 ? total : bands[one * BANDS + b];
      const level = Math.min(Math.max(1 - (10 * Math.log10(power + 1e-12)) / FLOOR_DB, 0), 1);
      const at = 4 * (BANDS - 1 - b);
      for (let c = 0; c < 3; c++) pixels[at + c] = one < 0 ? this.colours[most][c] * level : magma(level, c);
      pixels[at + 3] = 255;
    }
  }

  drawAxis(pen, left, width, height, ratio) {
    pen.font = `${11 * ratio}px system-ui, sans-serif`;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (let hz = 65.406; hz < HIGHEST_HZ; hz *= 2) {
      const y = place(hz) * height;
      pen.fillStyle = "rgba(255, 255, 255, .12)";
      pen.fillRect(left, y, width - left, 1);
      pen.fillStyle = "#bbb";
      pen.fillText(noteName(hz), left - 6 * ratio, y);
    }
  }

  drawMelody(pen, start, step, height, ratio) {
    for (const [colour, thick] of [["#000", 5], ["#fff", 2.5]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick * ratio;
      pen.beginPath();
      let before = 0;
      this.frames.forEach(({ f0 }, t) => {
        const [x, y] = [start + (t + 0.5) * step, place(f0) * height];
        if (f0 && before && Math.abs(Math.log2(f0 / before)) < 0.25) pen.lineTo(x, y);
        else if (f0) pen.moveTo(x, y);
        before = f0;
      });
      pen.stroke();
    }
  }

  /** What lies at a place of the picture, in words: pitch, note, level, stem. */
  at(x, y, names) {
    const { clientWidth, clientHeight } = this.canvas, first = this.pages.matches ? 0 : FRAMES - this.frames.length;
    const frame = this.frames[Math.floor(((x - AXIS) / (clientWidth - AXIS)) * FRAMES) - first];
    const part = 1 - y / clientHeight;
    if (!frame || part < 0 || part >= 1) return "";
    const hz = LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** part, b = Math.floor(part * BANDS);
    const powers = names.map((_, s) => frame.bands[s * BANDS + b]);
    const total = powers.reduce((sum, power) => sum + power), most = powers.indexOf(Math.max(...powers));
    return `${hz.toFixed(0)} Hz, ${noteName(hz)}, ${(10 * Math.log10(total + 1e-12)).toFixed(0)} dB, ${names[most]}`;
  }
}

/** How far from the top of the picture a pitch lies, 0 to 1. */
function place(hz) {
  return 1 - Math.log(hz / LOWEST_HZ) / Math.log(HIGHEST_HZ / LOWEST_HZ);
}

function magma(level, c) {
  const at = level * (MAGMA.length - 1), low = Math.min(Math.floor(at), MAGMA.length - 2);
  return MAGMA[low][c] + (at - low) * (MAGMA[low + 1][c] - MAGMA[low][c]);
}
