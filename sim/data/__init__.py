"""Tables with sources. No logic here; `sim.datum` reads them."""
