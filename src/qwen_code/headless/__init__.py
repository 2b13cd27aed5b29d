"""Fronts without a screen of their own: text, JSON, lines of JSON, and the plain prompt loop.

They render events and decide nothing.
"""
