"""The commands of `rtsep`: a module for each, whose `add` gives a parser the options and the function to run."""

COMMANDS = {
    "demo": "un-mix the bundled song live, and write what came of it; needs nothing",
    "live": "un-mix what a sound card hears",
    "karaoke": "sing in the lead's place",
    "separate": "sound files into stems",
    "web": "un-mix in the browser: opens a page, which sends nothing anywhere",
    "learn": "learn sounds that split a stem into parts",
    "evaluate": "compare stems with the true ones",
    "hum": "find the song of a melody that you hum",
    "midi": "bind the controls of MIDI controllers",
    "preset": "keep and pass on levels",
    "export": "write the engine for other programs",
    "devices": "list the sound devices",
    "doctor": "check this machine: versions, devices, speed, risks",
}
"""What each command does, in the order in which --help lists them."""
