"""The sweeps of Cheneau et al. 2025 (arXiv:2502.08511), Sec. VI, each one command.

``python -m benchmarks.sweeps snr|runtime|robustness`` writes the figures it finds, a picture of
them and what they say into docs/gallery. With ``--redraw`` the last two are made anew from the
first.
"""
