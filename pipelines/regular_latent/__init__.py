"""Parameter-free approximate equivariance for tasks with finite group symmetry (Ali, Liò, Vicary, 2025).

A loss term asks of an ordinary network that its latent vectors move as a multiple of the regular
representation when its inputs are moved by a group; the network gets no parameter for it.
"""
