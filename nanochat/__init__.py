"""The built-in target: a small GPT trained for a fixed budget. Researchers edit train.py; the rest is frozen."""
