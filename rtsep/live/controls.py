"""Presets."""

PRESETS: dict[str, dict[str, float | str]] = {
    "karaoke": {"melody.gain_db": -18},
    "lead-only": {"melody.solo": "on"},
    "backing-only": {"melody.mute": "on"},
}
"""Values by the ids of parameters, by the name of the preset."""
