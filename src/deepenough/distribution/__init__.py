"""Many processes and machines: torchrun, Ray, synchronised layers."""
