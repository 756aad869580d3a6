"""Interventions: named patches of a scenario, compared with their baseline."""
