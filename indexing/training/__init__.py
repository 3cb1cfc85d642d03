"""Training of our own encoders: pairs become a training set, a training set and teachers become a model.

Read in this order: ``sources.py`` (which texts belong together), ``overlap.py`` (nothing of an evaluation may be
among them), ``training_set.py`` and ``mining.py`` (what a step reads), ``losses.py`` and ``model.py`` (what it
computes), ``trainer.py`` and ``recipes.py`` (how it runs, stops and resumes), ``export.py`` (what is served).
Only the modules from ``losses.py`` on need torch.
"""
