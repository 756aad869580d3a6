"""The nodal view of the grid: test systems bus by bus, from DC flow to cascade."""
