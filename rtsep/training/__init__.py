"""Training material for small networks, and nothing that runs while sound is heard: see `rtsep.training.material`."""
