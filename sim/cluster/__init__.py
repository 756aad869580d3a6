"""The discrete-event simulation: serving and training as SimPy processes."""
