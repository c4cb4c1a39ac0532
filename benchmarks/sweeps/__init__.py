"""The figures of Cheneau et al. 2025 (arXiv:2502.08511), Figs. 2 to 6, each one command.

``python -m benchmarks.sweeps histograms|snr|runtime|robustness|regularisation`` writes the figures
it finds, a picture of them and what they say into docs/gallery. With ``--redraw`` the last two are
made anew from the first.
"""
