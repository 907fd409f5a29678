"""The audio thread: read from windows to meters, the files stand in the order of the sound."""
