"""Which way of computing a training step is fastest here."""
