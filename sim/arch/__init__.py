"""What a model is: frozen layer specs, read from any Hugging Face config.json or the zoo."""
