"""Finite groups, their representations and presentations, actions on images and features, Lie algebras."""
