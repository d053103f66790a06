"""Template of a pipeline: p4 convolutions against plain ones on turned digits.

A tiny version of one comparison of "Group Equivariant Convolutional Networks" (Cohen and Welling, ICML
2016, arXiv 1602.07576). Copy this folder to begin a new paper; README.md says what to change.
"""
