"""LLM serving: the reference replica, its router, and a fleet that a few replicas speak for."""
