"""The commands, by what they are for: working, reading, deciding."""
