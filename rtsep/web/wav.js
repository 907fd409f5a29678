/** Channels as a WAV file of 24 bits. */
export function wav(channels, sampleRate) {
  const count = channels.length, length = channels[0].length, size = 3 * count * length;
  const view = new DataView(new ArrayBuffer(44 + size + (size % 2)));
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + size + (size % 2), true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, count, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, 3 * count * sampleRate, true);
  view.setUint16(32, 3 * count, true);
  view.setUint16(34, 24, true);
  text(36, "data");
  view.setUint32(40, size, true);
  for (let i = 0, at = 44; i < length; i++) {
    for (let c = 0; c < count; c++, at += 3) {
      const value = Math.max(-8388608, Math.min(8388607, Math.round(channels[c][i] * 8388608)));
      view.setUint16(at, value & 0xffff, true);
      view.setInt8(at + 2, value >> 16);
    }
  }
  return new Blob([view], { type: "audio/wav" });
}
