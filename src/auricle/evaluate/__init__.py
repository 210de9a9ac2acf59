"""Evaluation: data sets, runs that resume, scores with intervals, reports."""
