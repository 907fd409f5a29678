"""Training of the networks, and nothing that runs while sound is heard: see `rtsep.training.course`."""
