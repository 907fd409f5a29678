"""The engine as a library: kernels become machine code for this machine, other ones, or a browser."""
