"""flopgrid: follow a token from the model's FLOPs to the power grid, and back."""

__version__ = "0.1.0"
