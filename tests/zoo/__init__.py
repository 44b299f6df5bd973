"""The zoo of cheats: scripts that a researcher might send to get a number it has not earned, and honest ones beside.

Each is a patch to the real `nanochat/train.py` and goes the whole way: real runner, real harness, real evaluator, in
the sandbox of the machine. `stage.py` performs one; the animals are in `leaks.py`, `tampering.py`, `escapes.py` and
`honest.py`.
"""
