"""Regions over a year: hourly loads, dispatch, headroom, adequacy and the answer to a claim."""
