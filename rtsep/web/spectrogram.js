// The picture: what sounds, over time. "who" tints each band by the stem that has most of it, as loud as it is heard;
// the input and single stems are in magma. The melody is a bright line with names of notes at its turns.

export const BANDS = 96;
const LOWEST_HZ = 40, HIGHEST_HZ = 16000, OCTAVES = Math.log2(HIGHEST_HZ / LOWEST_HZ);
const COLUMNS = 512; // that are remembered
const COLUMN_PX = 2.6, FEWEST = 150;
const NOW = 0.85; // of the width: right of it is what sounds at this moment
const HOLDS = 5; // columns on one note, from which on it has a name
const SURE = 0.3; // confidence from which on the melody is drawn
const TILT_DB = 1.5; // an octave: music falls with pitch, and its treble would be dark
const RISE_DB = 0.6, SINK_DB = 0.02; // a column: how the brightest follows the sound
const CONTRAST = 2.1, MAGMA_CONTRAST = 1.5; // of brightness: what is loud stands out of what is there
const SHORTEST = 4; // columns of a melody: what is shorter was a guess
const NOTES_DB = 12; // by which a note, all its bins together, lies above its strongest
const QUIETEST_DB = -62; // the brightest of a picture is at least this, or silence would be a snowstorm

const NAMES = ["C", "C\u266F", "D", "D\u266F", "E", "F", "F\u266F", "G", "G\u266F", "A", "A\u266F", "B"];
export const midi = (hz) => 69 + 12 * Math.log2(hz / 440);
const nameOf = (number) => NAMES[((number % 12) + 12) % 12] + (Math.floor(number / 12) - 1);

/** { name, cents } of the note next to a pitch. */
export function note(hz) {
  const number = Math.round(midi(hz));
  return { name: nameOf(number), cents: Math.round(100 * (midi(hz) - number)) };
}

// Magma, sampled from the colour map of matplotlib (CC0) at eighths.
const MAGMA = ["000004", "1d1147", "51127c", "832681", "b73779", "e75263", "fc8961", "fec488", "fcfdbf"];
const rgb = (hex) => [0, 2, 4].map((i) => parseInt(hex.replace("#", "").slice(i, i + 2), 16));
const magma = Array.from({ length: 256 }, (_, i) => {
  const at = (i / 255) * (MAGMA.length - 1), k = Math.min(Math.floor(at), MAGMA.length - 2);
  const [a, b] = [rgb(MAGMA[k]), rgb(MAGMA[k + 1])];
  return a.map((value, c) => value + (at - k) * (b[c] - value));
});

export class Spectrogram {
  /** `stems` are { name, color }, in the order of the engine; `melody` is the number of the stem of the melody. */
  constructor(canvas, stems, melody = -1) {
    Object.assign(this, { canvas, stems, melody, view: "who", range: 60, paged: false, spectrum: true });
    this.colors = stems.map(({ color }) => rgb(color));
    this.powers = new Float32Array(COLUMNS * stems.length * BANDS);
    this.gains = new Float32Array(COLUMNS * stems.length);
    this.notes = new Float32Array(COLUMNS * BANDS); // of templates that have pitches
    this.pitch = new Float32Array(COLUMNS);
    this.labels = new Array(COLUMNS).fill(null);
    this.tops = new Float32Array(COLUMNS);
    this.store = Object.assign(document.createElement("canvas"), { width: COLUMNS, height: BANDS });
    this.pen = this.store.getContext("2d", { alpha: false });
    this.column = new ImageData(1, BANDS);
    this.now = new Float32Array(BANDS); // how far each band reaches at this moment, for the bars right of the now-line
    this.clear();
    new ResizeObserver(() => (this.dirty = true)).observe(canvas);
  }

  clear() {
    this.pen.fillStyle = "#000";
    this.pen.fillRect(0, 0, COLUMNS, BANDS);
    this.powers.fill(0);
    this.notes.fill(0);
    this.pitch.fill(0);
    this.labels.fill(null);
    this.now.fill(0);
    Object.assign(this, { count: 0, top: -30, run: 0, held: null, named: null, every: 25, last: 0, dirty: true });
  }

  /** One column: the power of each stem in each band, the gains that are heard (linear), the pitch of the melody, and
      the `notes` of templates in each band, if there are any. */
  add(bands, gains, f0, confidence, notes) {
    const at = this.count % COLUMNS, { length } = this.stems, now = performance.now();
    if (this.last) this.every += 0.05 * (Math.min(now - this.last, 200) - this.every);
    this.last = now;
    this.powers.set(bands.subarray ? bands.subarray(0, length * BANDS) : bands, at * length * BANDS);
    this.gains.set(gains, at * length);
    this.notes.fill(0, at * BANDS, (at + 1) * BANDS);
    this.notes.set(notes, at * BANDS);
    let most = 0;
    for (let b = 0; b < BANDS; b++) {
      let sum = 0;
      for (let s = 0; s < length; s++) sum += bands[s * BANDS + b];
      most = Math.max(most, sum * 10 ** (tilt(b) / 10));
    }
    const top = Math.max(10 * Math.log10(most + 1e-12), QUIETEST_DB);
    this.top += Math.min(Math.max(top - this.top, -SINK_DB), RISE_DB);
    this.tops[at] = this.top;
    this.follow(at, confidence >= SURE ? f0 : 0);
    this.paint(at);
    this.count++;
    this.dirty = true;
  }

  /** The line of the melody, and where a new note begins to hold. */
  follow(at, hz) {
    this.pitch[at] = hz;
    this.labels[at] = null;
    const held = hz ? Math.round(midi(hz)) : null;
    this.run = held !== null && held === this.held ? this.run + 1 : 1;
    this.held = held;
    if (held === null) this.silent = (this.silent ?? 0) + 1;
    else this.silent = 0;
    if (this.silent > 15) this.named = null; // after a rest the same note is told again
    if (held !== null && this.run === HOLDS && held !== this.named) {
      this.labels[(at - HOLDS + 1 + COLUMNS) % COLUMNS] = nameOf(held);
      this.named = held;
    }
  }

  show(view, range = this.range) {
    Object.assign(this, { view, range });
    for (let at = 0; at < Math.min(this.count, COLUMNS); at++) this.paint(at);
    this.dirty = true;
  }

  /** The powers that are shown of a column in a band: of each stem, or of the notes. */
  shown(at, band) {
    const { view, stems } = this;
    if (view === "notes") return [this.notes[at * BANDS + band]];
    return stems.map((_, s) => {
      const row = at * stems.length + s, gain = view === "who" ? this.gains[row] : view === "input" || view === s ? 1 : 0;
      return this.powers[row * BANDS + band] * gain * gain;
    });
  }

  /** The brightness 0 to 1 of a power in a band of a column. */
  bright(power, band, top) {
    const raised = this.view === "notes" ? -NOTES_DB : tilt(band);
    return Math.min(Math.max((10 * Math.log10(power + 1e-12) + raised - top + this.range) / this.range, 0), 1);
  }

  paint(at) {
    const { data } = this.column, { view, colors } = this;
    for (let b = 0; b < BANDS; b++) {
      const powers = this.shown(at, b), level = this.bright(total(powers), b, this.tops[at]), o = 4 * (BANDS - 1 - b);
      if (view === "who") {
        let weight = 1e-30, r = 0, g = 0, blue = 0;
        powers.forEach((power, s) => {
          const share = power ** 3, color = colors[s]; // nearly all of the colour is that of the strongest
          weight += share;
          r += share * color[0];
          g += share * color[1];
          blue += share * color[2];
        });
        // From black to the colour, and the loudest tenth on towards white.
        const dim = level ** CONTRAST, white = Math.max(0, (level - 0.85) / 0.15) * 0.45;
        data[o] = dim * ((r / weight) * (1 - white) + 255 * white);
        data[o + 1] = dim * ((g / weight) * (1 - white) + 255 * white);
        data[o + 2] = dim * ((blue / weight) * (1 - white) + 255 * white);
      } else [data[o], data[o + 1], data[o + 2]] = magma[Math.round(255 * level ** MAGMA_CONTRAST)];
      data[o + 3] = 255;
    }
    this.pen.putImageData(this.column, at, 0);
  }

  // Drawing

  /** How many columns are seen, and how wide they are. */
  get seen() {
    const width = this.canvas.clientWidth * NOW;
    return Math.min(COLUMNS - 2, Math.max(FEWEST, Math.round(width / COLUMN_PX)));
  }

  y(hz, height) {
    return height * (1 - Math.log2(hz / LOWEST_HZ) / OCTAVES);
  }

  draw() {
    const moving = this.count && !this.paged && performance.now() - this.last < 2 * this.every;
    if (!this.dirty && !moving) return;
    this.dirty = false;
    const { canvas, store } = this, scale = Math.min(devicePixelRatio || 1, 2);
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale))
      [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    const pen = canvas.getContext("2d", { alpha: false });
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.fillStyle = "#08090b";
    pen.fillRect(0, 0, width, height);
    const { seen } = this, edge = width * NOW, wide = edge / seen;
    // Between two columns the picture slides on by what a column is wide.
    const slide = this.paged ? 1 : Math.min((performance.now() - this.last) / this.every, 1);
    const place = this.paged ? (n) => (n % seen) * wide : (n) => edge + (n - this.count + 1 - slide) * wide;
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, edge, height);
    pen.clip();
    pen.imageSmoothingEnabled = true;
    pen.imageSmoothingQuality = "low"; // enlarged it looks the same, and is drawn without a graphics card too
    const first = Math.max(0, this.count - seen - 1);
    for (let n = first; n < this.count; ) {
      // As many columns at once as lie side by side in the store and in the picture.
      let end = Math.min(this.count, n - (n % COLUMNS) + COLUMNS);
      if (this.paged) end = Math.min(end, n - (n % seen) + seen);
      pen.drawImage(store, n % COLUMNS, 0, end - n, BANDS, place(n), 0, (end - n) * wide + 0.5, height);
      n = end;
    }
    this.drawOctaves(pen, width, height);
    this.drawMelody(pen, first, place, wide, height);
    pen.restore();
    this.drawNow(pen, edge, width, height);
    if (this.paged && this.count) {
      pen.fillStyle = "#e8eaed";
      pen.fillRect(place(this.count - 1) + wide, 0, 2, height);
    }
  }

  drawOctaves(pen, width, height) {
    pen.fillStyle = "rgba(232, 234, 237, 0.07)";
    for (let c = 36; c <= 120; c += 12) pen.fillRect(0, Math.round(this.y(440 * 2 ** ((c - 69) / 12), height)), width, 1);
  }

  drawMelody(pen, first, place, wide, height) {
    const { length } = this.stems;
    const line = new Path2D(), labels = [];
    let piece = [], before = 0, labelled = -Infinity;
    const end = (last) => {
      if (piece.length < SHORTEST && !last) return (piece = []);
      piece.forEach(([x, y], i) => (i ? line.lineTo(x, y) : line.moveTo(x, y)));
      return (piece = []);
    };
    for (let n = first; n < this.count; n++) {
      const at = n % COLUMNS, hz = this.pitch[at], x = place(n) + wide / 2, y = hz && this.y(hz, height);
      // A leap of more than a third of an octave is another note, not a slide.
      if (!hz || (before && Math.abs(Math.log2(hz / before)) > 0.34) || (this.paged && n % this.seen === 0)) end();
      if (hz) piece.push([x, y]);
      if (this.labels[at] && Math.abs(x - labelled) > 30) labels.push([this.labels[at], (labelled = x), y]);
      before = hz;
    }
    end(true);
    const heard = this.melody < 0 || !this.count || this.view !== "who"
      ? 1 : this.gains[((this.count - 1) % COLUMNS) * length + this.melody];
    pen.globalAlpha = heard > 0.03 ? 1 : 0.4; // it goes on under a closed fader, fainter
    pen.lineJoin = pen.lineCap = "round";
    pen.strokeStyle = "rgba(0, 0, 0, 0.65)";
    pen.lineWidth = 5;
    pen.stroke(line);
    pen.strokeStyle = "#ffffff";
    pen.lineWidth = 2;
    pen.stroke(line);
    pen.font = "600 12px system-ui, sans-serif";
    pen.textBaseline = "alphabetic";
    pen.textAlign = "left";
    pen.lineWidth = 3;
    pen.strokeStyle = "rgba(0, 0, 0, 0.8)";
    pen.fillStyle = "#ffffff";
    for (const [name, x, y] of labels) {
      const above = Math.max(y - 9, 14);
      pen.strokeText(name, x, above);
      pen.fillText(name, x, above);
    }
    pen.globalAlpha = 1;
  }

  /** Right of the now-line: what each band holds at this moment, the scale of the notes, and the note that is sung. */
  drawNow(pen, edge, width, height) {
    pen.fillStyle = "#0d0f12";
    pen.fillRect(edge, 0, width - edge, height);
    const at = (this.count - 1 + COLUMNS) % COLUMNS, room = width - edge - 34;
    if (this.count) {
      const tall = height / BANDS;
      for (let b = 0; b < BANDS; b++) {
        const powers = this.shown(at, b), level = this.bright(total(powers), b, this.tops[at]);
        this.now[b] = Math.max(level, this.now[b] - 0.03);
        const hue = magma[Math.round(255 * (0.35 + 0.6 * this.now[b]))].map(Math.round);
        pen.fillStyle = this.view === "who" ? this.stems[strongest(powers)].color : `rgb(${hue})`;
        pen.globalAlpha = 0.25 + 0.6 * this.now[b];
        pen.fillRect(edge + 1, height - (b + 1) * tall + 0.5, room * this.now[b], Math.max(tall - 1, 1));
      }
      pen.globalAlpha = 1;
    }
    pen.fillStyle = "rgba(232, 234, 237, 0.35)";
    pen.fillRect(Math.round(edge), 0, 1, height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    const every = height / OCTAVES < 16 ? 24 : 12;
    for (let c = 36; c <= 120; c += every) {
      const y = this.y(440 * 2 ** ((c - 69) / 12), height);
      pen.fillStyle = "#9aa0a6";
      if (y > 8 && y < height - 6) pen.fillText(nameOf(c), width - 8, y);
    }
    const hz = this.count ? this.pitch[at] : 0;
    if (!hz) return;
    const y = this.y(hz, height), { name, cents } = note(hz);
    pen.fillStyle = "#ffffff";
    pen.beginPath();
    pen.arc(edge, y, 5, 0, 2 * Math.PI);
    pen.fill();
    pen.font = "600 16px system-ui, sans-serif";
    pen.textAlign = "left";
    pen.lineWidth = 4;
    pen.strokeStyle = "#000";
    const text = width - edge > 90 ? `${name} ${cents < 0 ? "\u2212" : "+"}${Math.abs(cents)}` : name;
    pen.strokeText(text, edge + 11, y);
    pen.fillText(text, edge + 11, y);
  }

  /** What lies at a place of the picture: { hz, name, cents, db, stem }; no level where nothing was drawn. */
  at(x, y) {
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight, { seen } = this;
    const hz = LOWEST_HZ * 2 ** ((1 - y / height) * OCTAVES), wide = (width * NOW) / seen;
    const found = { hz, ...note(hz) };
    let n = this.count - 1 - Math.max(0, Math.floor((width * NOW - x) / wide));
    if (this.paged) {
      const column = Math.floor(x / wide), page = this.count - (this.count % seen);
      n = column < this.count % seen ? page + column : page - seen + column;
    }
    if (n < 0 || n < this.count - COLUMNS || n >= this.count) return found;
    const at = n % COLUMNS, band = Math.min(BANDS - 1, Math.max(0, Math.floor((1 - y / height) * BANDS)));
    const powers = this.shown(at, band), sum = total(powers);
    if (sum <= 1e-12) return { ...found, db: -Infinity };
    found.db = 10 * Math.log10(sum);
    return this.view === "notes" ? found : { ...found, stem: strongest(powers) };
  }
}

const total = (powers) => powers.reduce((sum, power) => sum + power, 0);
const strongest = (powers) => powers.indexOf(Math.max(...powers));

function tilt(band) {
  return TILT_DB * OCTAVES * (band / BANDS - 0.35);
}
