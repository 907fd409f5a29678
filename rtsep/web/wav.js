// Sound as WAV files, of 16 bits or of 32-bit floats.

/** `channels` (a Float32Array each) as a file. Floats keep what lies above full scale; 16 bits clip it. */
export function wav(channels, sampleRate, floats = false) {
  const count = channels.length, length = channels[0]?.length ?? 0, bytes = floats ? 4 : 2;
  const view = new DataView(new ArrayBuffer(44 + bytes * count * length));
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, view.byteLength - 8, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, floats ? 3 : 1, true);
  view.setUint16(22, count, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, bytes * count * sampleRate, true);
  view.setUint16(32, bytes * count, true);
  view.setUint16(34, 8 * bytes, true);
  text(36, "data");
  view.setUint32(40, bytes * count * length, true);
  const put = floats ? view.setFloat32 : view.setInt16;
  for (let c = 0; c < count; c++) {
    const sound = channels[c];
    for (let i = 0, at = 44 + bytes * c; i < length; i++, at += bytes * count) {
      put.call(view, at, floats ? sound[i] : Math.max(-32768, Math.min(32767, Math.round(32768 * sound[i]))), true);
    }
  }
  return new Blob([view], { type: "audio/wav" });
}

/** Hand a file to the person. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
