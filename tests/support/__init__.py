"""What tests of several rooms share: tiny checkpoints, real texts, the optional shared data."""
