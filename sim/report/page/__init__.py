"""The what-if page: `flopgrid serve`. Starlette is imported only by `app`."""
