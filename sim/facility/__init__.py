"""The building: from chips to the meter."""
