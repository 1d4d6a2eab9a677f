"""Figures in the form of Prometheus: what a family of them is, how it stands in a text, and how long people waited."""
