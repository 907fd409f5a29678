"""The control thread: devices and people."""
