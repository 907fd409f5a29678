// The engine behind the page: this browser's own. `rtsep live --web` serves that of its own machine under this name.

export { default } from "./engine-local.js";
