"""Resource adequacy: will there be enough capacity, in days, hours and MWh a year."""
