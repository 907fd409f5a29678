// The page without a network. What is there is loaded anew, so that a page that was put up again is seen at once; what
// does not come in time comes from the cache, whose name carries the version of the engine.

const OWN = [
  "./", "index.html", "style.css", "view.js", "strips.js", "drawer.js", "spectrogram.js", "waveform.js", "midi.js",
  "messages.js", "midi-learn.js", "takeover.js", "store.js", "fader.js", "history.js", "wav.js", "engine.js", "engine-local.js", "core.js", "worklet.js", "renderer.js",
  "karaoke.js", "singing.js", "follower.js",
  "icon.svg", "manifest.webmanifest", "parameters.json", "engine.bin",
];
const PREFIX = "rtsep ", PATIENCE_MS = 4000;

self.addEventListener("install", (event) => event.waitUntil(keepAll().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
// Each visit looks for a new version, once the page has all that it needs itself.
self.addEventListener("message", (event) => event.data.kit !== undefined && event.waitUntil(keepAll(event.data.kit).catch(() => {})));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  event.respondWith(answer(request));
});

/** Fill the cache of the version that the server offers, and leave those of others. */
async function keepAll(kit) {
  const read = async (file) => (await fetch(file, { cache: "no-cache" })).json();
  const about = await read("parameters.json"), name = PREFIX + about.version, cache = await caches.open(name);
  const more = [...about.images, ...about.songs].map(({ file }) => file);
  if (kit) more.push(`${kit}.json`, ...(await read(`${kit}.json`)).images.map(({ file }) => file));
  for (const file of [...OWN, ...more]) {
    // One after the other: the sound that may be loading meanwhile comes first.
    const response = await fetch(file, { cache: "no-cache" }).catch(() => null);
    if (response?.ok) await cache.put(file, response);
  }
  for (const other of await caches.keys()) if (other.startsWith(PREFIX) && other !== name) await caches.delete(other);
}

async function answer(request) {
  const kept = await caches.match(request, { ignoreSearch: true });
  const fresh = fetch(request);
  if (!kept) return fresh;
  const late = new Promise((done) => setTimeout(done, PATIENCE_MS, kept));
  return Promise.race([fresh.then((response) => (response.ok ? response : kept), () => kept), late]);
}
