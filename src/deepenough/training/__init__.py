"""Recipe, loop, checkpoints, evaluation: how one network is trained."""
