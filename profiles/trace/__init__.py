"""The symbolic tracer: one training step of a model, every operation and every allocation, without data or device."""
