"""How fast it is: against what a person would otherwise run, and against the machine (``make bench``).

peers.py is the former, floors.py the latter; rounds.py takes turns among them; mnist.py, inception.py, profile.py,
growth.py, memory.py, reading.py and whole.py, with spent.py, are what is measured. What a fast path computes is held
against the slow one before it is timed (same.py).
"""
