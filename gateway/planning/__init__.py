"""How many boxes it takes: what each part costs, as measured, and what that comes to for so many devices.

It never measures anything itself; ``benchmarks/plan.py`` does.
"""
