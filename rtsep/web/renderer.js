// A worker: a whole song through the engine, as fast as the machine can, to the mix and its stems.

import { BLOCK, Core } from "./core.js";

self.onmessage = ({ data: { code, image, info, values, sound } }) => {
  const core = new Core(code, image, info), { channels, stems, latency, stem_latency } = info;
  for (const [number, value] of values) core.set(number, value);
  const length = sound[0].length;
  const made = Array.from({ length: 1 + stems }, () => sound.map(() => new Float32Array(length)));
  for (let start = 0; start < length + latency; start += BLOCK) {
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < BLOCK; i++) core.input[i * channels + c] = sound[c][start + i] ?? 0;
    core.process();
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < BLOCK; i++) {
        const mixed = start + i - latency, parted = start + i - stem_latency; // the stems keep their key, and are earlier
        if (mixed >= 0 && mixed < length) made[0][c][mixed] = core.output[i * channels + c];
        for (let s = 0; parted >= 0 && parted < length && s < stems; s++)
          made[1 + s][c][parted] = core.parts[(s * (BLOCK + 1) + i) * channels + c];
      }
    }
    if (start % (BLOCK * 375) === 0) self.postMessage({ progress: start / (length + latency) });
  }
  self.postMessage({ made }, made.flat().map((channel) => channel.buffer));
};
